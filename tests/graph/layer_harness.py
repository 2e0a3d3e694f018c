"""What every graph layer must be: one row a layer here, and all of it is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from renote.graph import (
    Adjacency,
    AnisotropicConvolution,
    ChebyshevConvolution,
    CollaborativeConvolution,
    ColumnConvolution,
    DegreeConvolution,
    DiffusionConvolution,
    DualPrimalConvolution,
    EdgeNetworkConvolution,
    EnhancedConvolution,
    GaANConvolution,
    GATConvolution,
    GeodesicConvolution,
    ImprovedConvolution,
    InceptionConvolution,
    IsomorphismConvolution,
    KipfConvolution,
    LoopyConvolution,
    LSTMAggregation,
    MaxAggregation,
    MeanAggregation,
    MessageConvolution,
    MinAggregation,
    MixtureConvolution,
    Pattern,
    PoolAggregation,
    RelationalConvolution,
    SAGEConvolution,
    ScoreConvolution,
    SimplifiedConvolution,
    SkipConvolution,
    SumAggregation,
    WeaveConvolution,
    WindowConvolution,
)
from renote.graph.conv.message import degree_coordinates
from renote.graph.geometry.patch import Patches


@dataclass(frozen=True)
class Layer:
    """A layer and its paper's formula.

    Args:
        name: of the row.
        make: `make(in_features, out_features)`.
        oracle: `oracle(layer, dense A[receiver, source], x)`, plain and slow.
        one_loop: whether of several loops on a node the last counts alone, as where every node is given one.
        weighted: whether it looks at weights, so that a weight of 2 is an edge that is there twice.
        symmetric: whether it forgets the order of the neighbours.
        rtol: how near it is to the formula.
    """

    name: str
    make: Callable[[int, int], nn.Module]
    oracle: Callable[[nn.Module, Tensor, Tensor], Tensor]
    one_loop: bool = True
    weighted: bool = True
    symmetric: bool = True
    rtol: float = 1e-12

    def dense(self, adjacency: Adjacency) -> Tensor:
        """What it sees of the edges."""
        return (adjacency if self.weighted else adjacency.with_weight(None)).to_dense()


def with_loops(dense: Tensor) -> Tensor:
    return dense + torch.diag((dense.diagonal() == 0).to(dense.dtype))


def kipf_matrix(dense: Tensor, loop: float = 1.0) -> Tensor:
    """D^-1/2 (A + w I) D^-1/2, where a node that has a loop keeps it."""
    looped = dense + loop * (with_loops(dense) - dense)
    scale = looped.abs().sum(1).pow(-0.5)
    return scale[:, None] * looped * scale[None, :]


def walk_matrix(dense: Tensor) -> Tensor:
    """D^-1 A, a row of zeros where no edge arrives."""
    degree = dense.abs().sum(1, keepdim=True)
    return torch.where(degree > 0, dense / degree, 0.0)


def kipf_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Â X W + b."""
    out = kipf_matrix(dense) @ x @ layer.weight
    return out if layer.bias is None else out + layer.bias


def enhanced_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """(Ã + λ diag Ã) X W + b."""
    walk = walk_matrix(with_loops(dense))
    return (walk + layer.strength * torch.diag(walk.diagonal())) @ x @ layer.weight + layer.bias


def improved_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """D^-1/2 (A + w I) D^-1/2 X W + b."""
    return kipf_matrix(dense, layer.loop) @ x @ layer.weight + layer.bias


def skip_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    assert isinstance(layer, SkipConvolution)
    assert layer.bias is not None
    projected = x @ layer.weight
    return kipf_matrix(dense) @ projected + projected @ torch.diag(layer.skip) + layer.bias


def loopy_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """A X W + b."""
    return dense @ x @ layer.weight + layer.bias


def shares(score: Tensor, weight: Tensor) -> Tensor:
    """w_j e^s_j / Σ_l |w_l| e^s_l, for one head's scores of one node's neighbours."""
    return weight * score.exp() / (weight.abs() * score.exp()).sum()


def gat_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    looped, rows = with_loops(dense), []
    for i in range(len(x)):
        near, heads = looped[i].nonzero().squeeze(1), []
        for h in range(layer.heads):
            mapped = x @ layer.weight[:, h * layer.out_features : (h + 1) * layer.out_features]
            score = mapped[i] @ layer.attention_target[h] + mapped[near] @ layer.attention_source[h]
            score = torch.where(score > 0, score, 0.2 * score)
            heads.append(shares(score, looped[i, near]) @ mapped[near])
        rows.append(torch.cat(heads) if layer.concat else torch.stack(heads).mean(0))
    return torch.stack(rows) + layer.bias if rows else x.new_zeros(0, len(layer.bias))


def dual_primal_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    looped, rows = with_loops(dense), []
    near = [row.nonzero().squeeze(1).tolist() for row in looped]

    def leaky(score: Tensor) -> Tensor:
        return torch.where(score > 0, score, 0.2 * score)

    def end(h: int, i: int, j: int) -> Tensor:
        """G_ij of a head."""
        cut = slice(h * layer.edge_features, (h + 1) * layer.edge_features)
        return x[i] @ layer.weight_target[:, cut] + x[j] @ layer.weight_source[:, cut]

    def score(h: int, i: int, j: int) -> Tensor:
        around = [(i, r) for r in near[i]] + [(j, t) for t in near[j] if i != j]
        ends = torch.stack([end(h, k, m) for k, m in around])
        scores = leaky(end(h, i, j) @ layer.dual_target[h] + ends @ layer.dual_source[h])
        mixed = shares(scores, torch.stack([looped[k, m] for k, m in around])) @ ends
        return leaky(torch.where(mixed > 0, mixed, mixed.exp() - 1) @ layer.attention_edge[h])

    for i in range(len(x)):
        heads = []
        for h in range(layer.heads):
            mapped = x @ layer.weight[:, h * layer.out_features : (h + 1) * layer.out_features]
            e = torch.stack([score(h, i, j) for j in near[i]])
            heads.append(shares(e, looped[i, near[i]]) @ mapped[near[i]])
        rows.append(torch.cat(heads) if layer.concat else torch.stack(heads).mean(0))
    return torch.stack(rows) + layer.bias if rows else x.new_zeros(0, len(layer.bias))


def gaan_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    weights, biases = layer.weight.split(layer.parts, 1), layer.bias.split(layer.parts)
    maps = [x @ weight + bias for weight, bias in zip(weights, biases, strict=True)]
    query, key, value = (part.unflatten(1, (layer.heads, -1)) for part in maps[:3])
    out = x.new_zeros(len(x), layer.heads, value.shape[2])
    gate = torch.ones(len(x), layer.heads, dtype=x.dtype)
    for i in range(len(x)):
        near = dense[i].nonzero().squeeze(1)
        mean = x.new_zeros(x.shape[1])
        pooled, arriving = x.new_zeros(0), biases[-1] * 0
        if len(near):
            mean = (dense[i, near] / dense[i, near].abs().sum()) @ x[near]
            arriving = (dense[i, near] / dense[i, near].abs().sum()).sum() * biases[-1] if layer.gates else arriving
            for h in range(layer.heads):
                score = key[near, h] @ query[i, h]
                v = value[near, h]
                out[i, h] = shares(score, dense[i, near]) @ torch.where(v > 0, v, 0.1 * v)
        if layer.gates:
            pooled = maps[4][near].amax(0) if len(near) else maps[4].new_zeros(maps[4].shape[1])
            gate[i] = (maps[5][i] + pooled @ layer.gate_pooled + mean @ weights[6] + arriving).sigmoid()
    return maps[3] + (out * gate[:, :, None]).flatten(1) @ layer.combine


def sage_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    seen, aggregate = dense if layer.concat else with_loops(dense), layer.aggregate
    rows = []
    for i in range(len(x)):
        near = seen[i].nonzero().squeeze(1)
        if not len(near):
            rows.append(x.new_zeros(layer.weight_neighbors.shape[0]))
        elif isinstance(aggregate, PoolAggregation):
            rows.append((x[near] @ aggregate.weight + aggregate.bias).relu().amax(0))
        elif isinstance(aggregate, MaxAggregation):
            rows.append(x[near].amax(0))
        elif isinstance(aggregate, LSTMAggregation):
            rows.append(lstm(aggregate, x[near.repeat_interleave(seen[i, near].long())]))
        else:
            rows.append((seen[i, near] / seen[i, near].abs().sum()) @ x[near])
    out = (torch.stack(rows) if rows else x.new_zeros(0, layer.weight_neighbors.shape[0])) @ layer.weight_neighbors
    if layer.concat:
        out = out + x @ layer.weight_self
    out = out + layer.bias
    return out / out.norm(dim=1, keepdim=True).clamp(min=1e-12) if layer.normalize else out


def lstm(aggregate: LSTMAggregation, sequence: Tensor) -> Tensor:
    """PyTorch's own, on one sequence alone."""
    width = aggregate.state.shape[0]
    peer = nn.LSTM(sequence.shape[1], width, dtype=sequence.dtype)
    with torch.no_grad():
        peer.weight_ih_l0.copy_(aggregate.input.T)
        peer.weight_hh_l0.copy_(aggregate.state.T)
        peer.bias_ih_l0.copy_(aggregate.bias)
        peer.bias_hh_l0.zero_()
        return peer(sequence.detach())[0][-1]


def mixture_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    degree = dense.abs().sum(1)
    scale = torch.where(degree > 0, degree, 1.0).rsqrt() * (degree > 0)
    out = x.new_zeros(len(x), layer.out_features)
    for i, j in dense.nonzero().tolist():
        place = torch.stack([scale[i], scale[j]])
        if layer.project is not None:
            place = (layer.project.weight @ place + layer.project.bias).tanh()
        for k, weight in enumerate(layer.weight.split(layer.out_features, 1)):
            away = place - layer.center[k]
            for c, period in enumerate([] if layer.period is None else layer.period.tolist()):
                if period:
                    ways = [away[c] + turn * period for turn in range(-8, 9)]
                    away = torch.stack([min(ways, key=abs) if c == d else away[d] for d in range(len(away))])
            away = away * layer.inverse_deviation[k]
            out[i] += dense[i, j] * torch.exp(-0.5 * (away**2).sum()) * (x[j] @ weight)
    return out + layer.bias


def sage(name: str, aggregation: str, **fields: bool) -> Layer:
    # in training an LSTM draws its order
    make = lambda i, o: SAGEConvolution(i, o, aggregation, aggregated=16).eval()  # noqa: E731
    return Layer(f"sage, {name}", make, sage_oracle, **fields)


def column_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    own, others = layer.weight[0], layer.weight[1:]
    assert len(others) <= 1
    score = x @ own + sum(walk_matrix(dense) @ x @ weight for weight in others) + layer.bias
    if not layer.gated:
        return score.clamp(min=0)
    width = x.shape[1]
    gate = 1 / (1 + (-score[:, width:]).exp())
    return gate * score[:, :width].clamp(min=0) + (1 - gate) * x


def isomorphism_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """W₂ max(0, W₁ ((1 + ε) X + A X) + b₁) + b₂."""
    mixed = (1 + layer.epsilon) * x + dense @ x
    inner = mixed @ layer.first.weight.T + layer.first.bias
    return inner.clamp(min=0) @ layer.second.weight.T + layer.second.bias


def isomorphism(in_features: int, hidden: int) -> IsomorphismConvolution:
    layer = IsomorphismConvolution(in_features, 3, hidden)
    nn.init.constant_(layer.epsilon, 0.3)
    return layer


def simplified_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Âᴷ X W + b."""
    out = torch.linalg.matrix_power(kipf_matrix(dense), layer.hops) @ x @ layer.weight
    return out if layer.bias is None else out + layer.bias


def chebyshev_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Σ T_k(-S) X Θ_k + b, the polynomials by their coefficients."""
    if layer.kind == "random-walk":
        operator = -walk_matrix(dense)
    else:
        scale = torch.where(dense.abs().sum(1) > 0, dense.abs().sum(1).pow(-0.5), 0.0)
        operator = -scale[:, None] * dense * scale[None, :]
    polynomials = [[1.0], [0.0, 1.0], [-1.0, 0.0, 2.0], [0.0, -3.0, 0.0, 4.0]][: layer.order + 1]
    out = torch.zeros(len(x), layer.out_features, dtype=x.dtype)
    for weight, polynomial in zip(layer.weight, polynomials, strict=True):
        for power, coefficient in enumerate(polynomial):
            out = out + coefficient * torch.linalg.matrix_power(operator, power) @ x @ weight
    return out if layer.bias is None else out + layer.bias


def inception_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """[A_0 X Θ_0 + b_0 | …]."""
    identity = torch.eye(len(dense), dtype=dense.dtype)
    hop = kipf_matrix(dense)
    rank = layer.restart * torch.linalg.inv(identity - (1 - layer.restart) * hop)
    plain = (dense != 0).to(dense) * (1 - identity)
    closed = walk_matrix(plain * (plain @ plain))
    operators = [torch.linalg.matrix_power(hop, k) for k in range(layer.hops + 1)]
    operators += [torch.linalg.matrix_power(rank, k + 1) for k in range(layer.pagerank_hops)]
    operators += [torch.linalg.matrix_power(closed, k + 1) for k in range(layer.triangle_hops)]
    parts = zip(operators, layer.weight, layer.bias, strict=True)
    return torch.cat([operator @ x @ weight + bias for operator, weight, bias in parts], 1)


def diffusion_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """[W_0 ⊙ X | W_1 ⊙ P X | …]."""
    walk = walk_matrix(dense)
    hops = enumerate(layer.weight)
    return torch.cat([weight * (torch.linalg.matrix_power(walk, hop) @ x) for hop, weight in hops], 1)


def collaborative_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """x_i W₁ + Σ_j L_ij (x_j W₁ + (x_j ⊙ x_i) W₂) + b."""
    scale = torch.where(dense.abs().sum(1) > 0, dense.abs().sum(1).pow(-0.5), 0.0)
    step = scale[:, None] * dense * scale
    rows = [
        x[i] @ layer.weight
        + sum(step[i, j] * (x[j] @ layer.weight + (x[j] * x[i]) @ layer.weight_common) for j in range(len(x)))
        for i in range(len(x))
    ]
    return (torch.stack(rows) if rows else x.new_zeros(0, layer.weight.shape[1])) + layer.bias


def relational_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    total = dense.sum(1, keepdim=True)
    mean = torch.where(total == 0, 0.0, dense / total) @ x
    return x @ layer.own + mean @ layer.weight[0] + layer.bias


def degree_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """x_i W_d + Σ_j x_j V_d + b_d."""
    rows = []
    for i in range(len(x)):
        degree = min(int(dense[i].sum()), layer.max_degree)
        own, others = layer.weight[degree].split(x.shape[1])
        rows.append(x[i] @ own + dense[i] @ x @ others + layer.bias[degree])
    return torch.stack(rows) if rows else x.new_zeros(0, layer.out_features)


def edge_network_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """A X B_0 + b, without features of edges."""
    return dense @ x @ layer.matrices[0] + layer.bias


class Woven(nn.Module):
    """Nodes tell pairs, pairs tell nodes: two weaves over the edges, whose features are 1 at first."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        # wide, so that not all of a node's features are cut off by a ReLU
        self.first = WeaveConvolution(in_features, 1, in_features, 8, 8)
        self.second = WeaveConvolution(in_features, 8, 4 * out_features, 0, 8)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        x, pairs = self.first(x, adjacency, x.new_ones(adjacency.num_edges, 1))
        out: Tensor = self.second(x, adjacency, pairs)[0]
        return out


def woven_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    edges = dense.nonzero().tolist()
    pairs = {(i, j): x.new_ones(1) for i, j in edges}
    for weave in (layer.first, layer.second):
        told = [weave.node_node(of).relu() for of in x]
        heard = [x.new_zeros(weave.pair_node.out_features) for _ in x]
        for i, j in edges:
            heard[i] = heard[i] + dense[i, j] * weave.pair_node(pairs[i, j]).relu()
        after = [weave.node_out(torch.cat([own, of])).relu() for own, of in zip(told, heard)]
        if weave.updates_pairs:
            for i, j in edges:
                one, other = weave.node_pair.weight.chunk(2)
                both = [(one @ x[a] + other @ x[b] + weave.node_pair_bias).relu() for a, b in ((i, j), (j, i))]
                joined = torch.cat([both[0] + both[1], weave.pair_pair(pairs[i, j]).relu()])
                pairs[i, j] = weave.pair_out(joined).relu()
        x = torch.stack(after) if after else x.new_zeros(0, weave.node_out.out_features)
    return x


class Patched(nn.Module):
    """A convolution over patches, whose places b see the neighbours in shares of 1 / (b + 1)."""

    def __init__(self, convolution: nn.Module, bins: int) -> None:
        super().__init__()
        self.convolution, self.bins = convolution, bins
        if isinstance(convolution, WindowConvolution):
            with torch.no_grad():  # away from where an angle is as near the one way round as the other
                convolution.mixture.center.add_(0.13)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        weight = x.new_ones(adjacency.num_edges) if adjacency.weight is None else adjacency.weight.to(x.dtype)
        if isinstance(self.convolution, WindowConvolution):
            patches = Patches(adjacency.pattern, weight, 1, degree_coordinates(adjacency, x.dtype))
        else:
            place = torch.arange(self.bins).repeat_interleave(adjacency.num_edges)
            row = adjacency.target.long().repeat(self.bins) * self.bins + place
            column = adjacency.source.long().repeat(self.bins)
            pattern, order = Pattern.from_pairs(row, column, len(x) * self.bins, len(x))
            values = weight.repeat(self.bins) / (place + 1)
            patches = Patches(pattern, values if order is None else values[order], self.bins)
        out: Tensor = self.convolution(x, patches)
        return out


def _seen_by(bins: int, dense: Tensor, x: Tensor) -> Tensor:
    """(nodes, bins, features)."""
    return (dense @ x)[:, None] / torch.arange(1, bins + 1, dtype=x.dtype)[:, None]


def geodesic_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """max_s Σ_rt (D x)(r, t + s) W_rt + b."""
    own = layer.convolution
    seen = _seen_by(layer.bins, dense, x).view(len(x), own.rings, own.angles, x.shape[1])
    turns = [torch.einsum("nrti,rtio->no", seen.roll(-turn, 2), own.weight) for turn in range(own.angles)]
    return torch.stack(turns).amax(0) + own.bias


def anisotropic_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """Σ_b (D x)(b) W_b + b."""
    own, seen = layer.convolution, _seen_by(layer.bins, dense, x)
    parts = own.weight.view(layer.bins, x.shape[1], -1)
    return sum((seen[:, b] @ parts[b] for b in range(layer.bins)), own.bias.expand(len(x), -1))


class Edge(nn.Module):
    """tanh([x_j ‖ x_i ‖ x_j ∘ x_i] W + b): not linear, and of both ends."""

    def __init__(self, in_features: int, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(3 * in_features, width)

    def forward(self, source: Tensor, target: Tensor, edge_features: Tensor | None) -> Tensor:
        return self.map(torch.cat([source, target, source * target], 1)).tanh()


class Taken(nn.Module):
    """x U + m V + b."""

    def __init__(self, in_features: int, width: int, out_features: int) -> None:
        super().__init__()
        self.own, self.told = nn.Linear(in_features, out_features), nn.Linear(width, out_features, bias=False)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return self.own(x) + self.told(told)


def message(aggregation: str, edges_at_once: int | None, **fields: bool) -> Layer:
    make = lambda i, o: MessageConvolution(i, Edge(i, 5), aggregation, Taken(i, 5, o), 5, edges_at_once)  # noqa: E731
    name = f"message, {aggregation}{f', {edges_at_once} edges at once' if edges_at_once else ''}"
    return Layer(name, make, message_oracle, one_loop=False, **fields)


def message_oracle(layer: nn.Module, dense: Tensor, x: Tensor) -> Tensor:
    """An edge at a time."""
    rows, aggregate = [], layer.aggregate
    for i in range(len(x)):
        near = dense[i].nonzero().squeeze(1)
        weight = dense[i, near]
        if not len(near):
            rows.append(x.new_zeros(5))
            continue
        told = torch.stack([layer.message(x[j : j + 1], x[i : i + 1], None)[0] for j in near])
        if isinstance(aggregate, SumAggregation):
            rows.append(weight @ told)
        elif isinstance(aggregate, MeanAggregation):
            rows.append(weight / weight.abs().sum() @ told)
        elif isinstance(aggregate, MaxAggregation | MinAggregation):
            rows.append(told.amax(0) if isinstance(aggregate, MaxAggregation) else told.amin(0))
        else:
            rows.append(shares(told @ aggregate.query[:, 0], weight) @ told)
    return layer.update(x, torch.stack(rows) if rows else x.new_zeros(0, 5))


LAYERS = [
    message("sum", None),
    message("sum", 4),
    message("mean", 3),
    message("max", 2),
    message("min", 5),
    message("attention", 4),
    Layer("weave, twice", Woven, woven_oracle, one_loop=False, weighted=False),
    Layer("geodesic", lambda i, o: Patched(GeodesicConvolution(i, o, 2, 3), 6), geodesic_oracle, one_loop=False),
    Layer("anisotropic", lambda i, o: Patched(AnisotropicConvolution(i, o, 4), 4), anisotropic_oracle, one_loop=False),
    Layer(
        "windows",
        lambda i, o: Patched(WindowConvolution(i, o, 1, 2), 1),
        lambda layer, dense, x: mixture_oracle(layer.convolution.mixture, dense, x),
        one_loop=False,
    ),
    Layer("kipf, narrower", lambda i, o: KipfConvolution(i, o), kipf_oracle),
    Layer("kipf, no bias", lambda i, o: KipfConvolution(i, o, bias=False), kipf_oracle),
    Layer("kipf, as wide", lambda i, o: KipfConvolution(i, i), kipf_oracle),
    Layer("kipf, wider", lambda i, o: KipfConvolution(i, 2 * i), kipf_oracle),
    Layer("score", lambda i, o: ScoreConvolution(i), kipf_oracle),
    Layer("enhanced", lambda i, o: EnhancedConvolution(i, o, 0.7), enhanced_oracle),
    Layer("improved", lambda i, o: ImprovedConvolution(i, o, 1.5), improved_oracle),
    Layer("loopy, narrower", lambda i, o: LoopyConvolution(i, o), loopy_oracle, one_loop=False),
    Layer("loopy, wider", lambda i, o: LoopyConvolution(i, 2 * i), loopy_oracle, one_loop=False),
    Layer("skip", lambda i, o: SkipConvolution(i, o), skip_oracle),
    Layer("gat", lambda i, o: GATConvolution(i, o), gat_oracle),
    Layer("gat, 3 heads", lambda i, o: GATConvolution(i, o, heads=3), gat_oracle),
    Layer("gat, mean of heads", lambda i, o: GATConvolution(i, o, heads=2, concat=False), gat_oracle),
    Layer("dual-primal", lambda i, o: DualPrimalConvolution(i, o, 2, edge_features=3), dual_primal_oracle),
    Layer(
        "dual-primal, mean of heads",
        lambda i, o: DualPrimalConvolution(i, o, 2, False, edge_features=5),
        dual_primal_oracle,
    ),
    Layer("gaan", lambda i, o: GaANConvolution(i, o, 2, 3, 5, 4), gaan_oracle, one_loop=False),
    Layer("gaan, no gates", lambda i, o: GaANConvolution(i, o, 2, 3, 5, gates=False), gaan_oracle, one_loop=False),
    sage("mean", "mean", one_loop=False),
    Layer("sage, wider", lambda i, o: SAGEConvolution(i, 2 * i, normalize=True), sage_oracle, one_loop=False),
    sage("gcn", "gcn"),
    sage("max", "max", one_loop=False),
    sage("pool", "pool", one_loop=False),
    sage("lstm", "lstm", one_loop=False, weighted=False, symmetric=False),
    Layer("mixture", lambda i, o: MixtureConvolution(i, o), mixture_oracle, one_loop=False),
    Layer("mixture, wider", lambda i, o: MixtureConvolution(i, 2 * i, projected=3), mixture_oracle, one_loop=False),
    Layer(
        "mixture, periodic",
        lambda i, o: MixtureConvolution(i, o, period=(0.0, 0.4)),
        mixture_oracle,
        one_loop=False,
    ),
    Layer("chebyshev, narrower", lambda i, o: ChebyshevConvolution(i, o), chebyshev_oracle, one_loop=False),
    Layer("chebyshev, wider", lambda i, o: ChebyshevConvolution(i, 2 * i, 3), chebyshev_oracle, one_loop=False),
    Layer(
        "chebyshev, random walk",
        lambda i, o: ChebyshevConvolution(i, o, 3, False, "random-walk"),
        chebyshev_oracle,
        one_loop=False,
    ),
    Layer("collaborative", lambda i, o: CollaborativeConvolution(i, o), collaborative_oracle, one_loop=False),
    Layer("column", lambda i, o: ColumnConvolution(i), column_oracle, one_loop=False),
    Layer("column, no gates", lambda i, o: ColumnConvolution(i, gated=False), column_oracle, one_loop=False),
    Layer("isomorphism, narrower", lambda i, o: isomorphism(i, 2), isomorphism_oracle, one_loop=False),
    Layer("isomorphism, wider", lambda i, o: isomorphism(i, 2 * i), isomorphism_oracle, one_loop=False),
    Layer("simplified, narrower", lambda i, o: SimplifiedConvolution(i, o, 3), simplified_oracle),
    Layer("simplified, wider", lambda i, o: SimplifiedConvolution(i, 2 * i, bias=False), simplified_oracle),
    Layer("inception", lambda i, o: InceptionConvolution(i, o), inception_oracle),
    Layer("degree", lambda i, o: DegreeConvolution(i, o, max_degree=3), degree_oracle, one_loop=False, weighted=False),
    Layer("edge network", lambda i, o: EdgeNetworkConvolution(i, o, 0), edge_network_oracle, one_loop=False),
    Layer("relational", lambda i, o: RelationalConvolution(i, o, 1), relational_oracle, one_loop=False),
    Layer("diffusion", lambda i, o: DiffusionConvolution(i), diffusion_oracle, one_loop=False),
]


def random_graph(nodes: int, edges: int, seed: int, loops: bool = False) -> Adjacency:
    """A directed graph, duplicates possible; the last node is isolated."""
    generator = torch.Generator().manual_seed(seed)
    if nodes < 3:
        return Adjacency.from_edges([], [], nodes)
    source = torch.randint(nodes - 1, (edges,), generator=generator)
    target = torch.randint(nodes - 1, (edges,), generator=generator)
    if not loops:
        source, target = source[source != target], target[source != target]
    return Adjacency.from_edges(source, target, nodes)


def undirected(nodes: int, edges: int, seed: int) -> Adjacency:
    """Both directions of each edge, no loops, no duplicates; the last node is isolated."""
    one = random_graph(nodes, edges, seed).edge_index()
    both = torch.unique(torch.cat([one, one.flip(0)], 1), dim=1)
    return Adjacency.from_edges(both[0], both[1], nodes)


def permuted(adjacency: Adjacency, order: Tensor) -> Adjacency:
    """The graph whose node k is node order[k] of this one."""
    place = torch.argsort(order)
    weight = adjacency.weight
    return Adjacency.from_edges(
        place[adjacency.source.long()], place[adjacency.target.long()], adjacency.num_nodes, weight
    )
