"""Convolutions of columns: every node carries a network, and its layers read what the neighbours' layers below say, relation by relation.

Pham, Tran, Phung & Venkatesh (2017), "Column networks for collective classification", arXiv 1609.04508.
Srivastava, Greff & Schmidhuber (2015), "Highway networks", arXiv 1505.00387.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import check_width
from renote.graph.segment import spmm
from renote.nets.connection import highway


class ColumnConvolution(nn.Module):
    """y = α ∘ h̃ + (1 - α) ∘ x, with c_r the mean of x over the neighbours by relation r.

        h̃ = ReLU(x W + 1/R Σ_r c_r V_r + b)
        α = sigmoid(x W' + 1/R Σ_r c_r V'_r + b')

    Both take the same contexts: one sparse product a relation, and one dense product for all the rest.

    Args:
        features: of a node, before and after.
        relations: number R of them; 0 leaves the neighbours out: a layer of a highway network.
        gated: whether α is there; y = h̃ without.
        gate: where b' starts; below 0 a node is at first handed on nearly as it is. b starts at zero, the weights as in Glorot & Bengio (2010), uniform.

    Shapes:
        x: (nodes, features). adjacency: one, or one a relation (`graph.relations`); their weights, if any, weigh the means. A node that nobody is joined to by a
        relation has the context zero there, and so have all by the last relations if fewer are given. Output: (nodes, features).

    Source:
        Pham et al. (2017), the section on column networks: mean of the neighbours, highway layers, and 1/z before the contexts, here with z = R.
    """

    def __init__(self, features: int, relations: int = 1, gated: bool = True, gate: float = -1.0) -> None:
        super().__init__()
        if relations < 0:
            raise UsageError(f"relations is {relations}: it must be 0 or more")
        self.features, self.relations, self.gated = features, relations, gated
        parts = 1 + gated
        self.weight = nn.Parameter(torch.empty(1 + relations, features, parts * features))
        self.bias = nn.Parameter(torch.zeros(parts * features))
        with torch.no_grad():
            for weight in self.weight:
                for part in weight.chunk(parts, 1):
                    nn.init.xavier_uniform_(part)
            self.bias[features:] = gate

    def forward(self, x: Tensor, adjacency: Adjacency | Sequence[Adjacency]) -> Tensor:
        """One hop; arguments as the class says."""
        check_width(x, self.features, "convolution")
        joined = [adjacency] if isinstance(adjacency, Adjacency) else list(adjacency)
        untold = isinstance(adjacency, Adjacency) and self.relations > 1
        if untold or (self.relations and len(joined) > self.relations):
            raise UsageError(f"{len(joined)} relations, and the convolution takes {self.relations}")
        contexts = [spmm(relation.random_walk(), x) / self.relations for relation in joined[: self.relations]]
        weight = self.weight[: 1 + len(contexts)].flatten(0, 1)
        out = torch.addmm(self.bias, torch.cat([x, *contexts], 1), weight)
        if not self.gated:
            return out.relu()
        change, gate = out.chunk(2, 1)
        return highway(x, change.relu(), gate)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.features}, relations={self.relations}, gated={self.gated}"
