"""Message passing networks: messages of edge networks, updates by a gated recurrent unit, readout by set2set.

Gilmer, Schoenholz, Riley, Vinyals & Dahl (2017), "Neural message passing for quantum chemistry", arXiv 1704.01212.
Vinyals, Bengio & Kudlur (2016), "Order matters: sequence to sequence for sets", arXiv 1511.06391.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renote.errors import UsageError
from renote.graph.adjacency import Adjacency
from renote.graph.aggregate import Aggregation, check_width, parts
from renote.graph.attend import attend, dot_scores, entry_softmax
from renote.graph.conv.edge_network import EdgeNetworkConvolution
from renote.graph.fingerprint import dense_of
from renote.graph.graph import Graph
from renote.graph.pattern import Pattern


class Set2SetAggregation(Aggregation):
    """q_t = LSTM(q*_(t-1)),  a = softmax_j(x_j · q_t),  r_t = Σ_j a_j x_j,  q*_t = [q_t ‖ r_t];  y = q*_T.

    A query reads the whole set T times, and asks anew with what it read. Weights of edges are not looked at; an empty set gives zeros.

    Args:
        features: of x.
        steps: T.

    Shapes:
        As `Aggregation`; the output has 2 · features.

    Source:
        Vinyals et al. (2016), eqs. 3 to 7.
    """

    def __init__(self, features: int, steps: int = 6) -> None:
        super().__init__(features, 2 * features)
        if steps < 1:
            raise UsageError(f"steps is {steps}: a set is read at least once")
        self.out_features, self.steps = 2 * features, steps
        self.lstm = nn.LSTMCell(2 * features, features)

    def forward(self, x: Tensor, over: Adjacency | Pattern) -> Tensor:
        """Arguments as `Aggregation`."""
        assert self.features is not None
        check_width(x, self.features, "aggregation")
        pattern = parts(over)[0]
        read = x.new_zeros(pattern.num_rows, 2 * self.features)
        state = (read[:, : self.features], read[:, self.features :])
        members = x[:, None, :]
        for _ in range(self.steps):
            state = self.lstm(read, state)
            query = state[0]
            scores = dot_scores(pattern, query[:, None, :], members)
            read = torch.cat([query, attend(pattern, entry_softmax(pattern, scores), members).squeeze(1)], 1)
        return read.masked_fill((pattern.count == 0)[:, None], 0.0)


class MessagePassingNetwork(nn.Module):
    """h⁰ = ReLU(x W),  m = ReLU(EdgeNetwork(h^(t-1))),  h^t = GRU(h^(t-1), m) for T steps with the same weights;  Z = head(set2set(h^T)).

    Args:
        features: a node comes with.
        edge_features: features of an edge; 0 for none.
        head: from 2 · hidden to the outputs.
        hidden: width of h.
        steps: T.
        edge_hidden: width of the edge network's hidden layer.
        readings: steps of set2set.

    Source:
        Gilmer et al. (2017), sections 4.1 and 4.2: the variant with the edge network and set2set, "enn-s2s".
    """

    def __init__(
        self,
        features: int,
        edge_features: int,
        head: nn.Module,
        hidden: int = 64,
        steps: int = 3,
        edge_hidden: int = 16,
        readings: int = 6,
    ) -> None:
        super().__init__()
        if steps < 0:
            raise UsageError(f"steps is {steps}: it must be 0 or more")
        self.embed = nn.Linear(features, hidden)
        self.message = EdgeNetworkConvolution(hidden, hidden, edge_features, edge_hidden)
        self.update = nn.GRUCell(hidden, hidden)
        self.readout = Set2SetAggregation(hidden, readings)
        self.head, self.steps = head, steps

    def forward(self, graph: Graph) -> Tensor:
        """(graphs, outputs)."""
        h = self.embed(dense_of(graph)).relu()
        shares = self.message.shares(graph.adjacency, graph.edge_features, h.dtype)
        for _ in range(self.steps):
            h = self.update(self.message(h, graph.adjacency, shares=shares).relu(), h)
        out: Tensor = self.head(self.readout(h, graph.members))
        return out
