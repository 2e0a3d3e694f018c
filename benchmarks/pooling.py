"""Whole graphs, pools and LightGCN beside PyTorch Geometric's: time in turns, and the memory of one step of each."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import row_with_memory
from renote.graph import (
    Adjacency,
    Graph,
    GraphNetwork,
    IsomorphismConvolution,
    LightGCN,
    Pattern,
    Recommendation,
    SAGPool,
    SumAggregation,
    TopKPool,
    batch,
    diff_pool,
    pick,
)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table: training steps of LightGCN and GIN; DiffPool, SAGPool and top-k of a batch, forward and backward."""
    return [_lightgcn(quick), *(_step_of_gin(size, quick) for size in (32, 512)), *_pools(quick)]


def _lightgcn(quick: bool) -> dict[str, Any]:
    from torch_geometric.nn.models import LightGCN as Peer

    users, items, pairs, size = (300, 400, 4_000, 256) if quick else (29_858, 40_981, 810_128, 2048)
    generator = torch.Generator().manual_seed(0)
    # few items are taken by many, as in Gowalla
    item = (items * torch.rand(pairs, generator=generator) ** 2).long()
    user = torch.randint(users, (pairs,), generator=generator)
    taken = torch.unique(torch.stack([user, item], 1), dim=0)
    mine = Recommendation(LightGCN(users + items, 64, 3), users, items, {"train": taken})
    peer = Peer(users + items, 64, 3)
    ends = torch.cat([taken + torch.tensor([0, users]), (taken + torch.tensor([0, users])).flip(1)]).t().contiguous()
    user, item = mine.unseen.draw_pairs(size, generator)
    triple = {"user": user, "item": item, "negative": mine.unseen.draw(user, generator)}
    nodes = [user, item + users, triple["negative"] + users]
    optimizers = [torch.optim.Adam(module.parameters(), lr=0.001, fused=True) for module in (mine, peer)]

    def ours() -> None:
        optimizers[0].zero_grad()
        mine(triple).backward()
        optimizers[0].step()

    def theirs() -> None:
        optimizers[1].zero_grad()
        vectors = peer.get_embedding(ends)
        of_user, of_item, of_other = (vectors[node] for node in nodes)
        better, worse = (of_user * of_item).sum(1), (of_user * of_other).sum(1)
        loss = peer.recommendation_loss(better, worse, node_id=torch.cat(nodes).unique(), lambda_reg=1e-4)
        loss.backward()
        optimizers[1].step()

    name = f"lightgcn training step ({users:,} users, {items:,} items, {len(taken):,} pairs, 64 features, 3 layers)"
    return row_with_memory(name, ours, theirs, 2 if quick else 5, "six sparse products")


def _step_of_gin(size: int, quick: bool) -> dict[str, Any]:
    """A batch is put together of graphs of the size of proteins, and four layers with a sum of each are trained on it."""
    from torch_geometric.data import Batch, Data
    from torch_geometric.nn import GINConv, global_add_pool

    generator, parts, classes = torch.Generator().manual_seed(0), [], 2
    for _ in range(2 * size):
        nodes = int(torch.randint(10, 70, (), generator=generator))
        ends = torch.randint(nodes, (2, 2 * nodes), generator=generator)
        both = torch.unique(torch.cat([ends, ends.flip(0)], 1), dim=1)
        parts.append(Graph(torch.randn(nodes, 3, generator=generator), Adjacency.from_edges(both[0], both[1], nodes)))
    whole, labels = batch(parts), torch.randint(classes, (len(parts),), generator=generator)
    widths = [3, 32, 32, 32, 32]
    pairs = list(itertools.pairwise(widths))
    convolutions = [IsomorphismConvolution(i, o, learn_epsilon=False, norm=True) for i, o in pairs]
    mine = GraphNetwork(convolutions, [SumAggregation()], nn.Linear(sum(widths), classes), widths[1:], every=True)

    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inner = [nn.Sequential(nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Linear(o, o)) for i, o in pairs]
            self.convolutions = nn.ModuleList(GINConv(perceptron) for perceptron in inner)
            self.norms = nn.ModuleList(nn.BatchNorm1d(o) for _, o in pairs)
            self.head = nn.Linear(sum(widths), classes)

        def forward(self, graphs: Any) -> Tensor:
            hidden = [graphs.x]
            for convolution, norm in zip(self.convolutions, self.norms):
                hidden.append(norm(convolution(hidden[-1], graphs.edge_index)).relu())
            read = [global_add_pool(x, graphs.batch, graphs.num_graphs) for x in hidden]
            out: Tensor = self.head(torch.cat(read, 1))
            return out

    peer = Peer()
    items = [
        Data(x=part.x, edge_index=part.adjacency.edge_index(), y=label.view(1)) for part, label in zip(parts, labels)
    ]
    optimizers = [torch.optim.Adam(module.parameters(), lr=0.001, fused=True) for module in (mine, peer)]

    def step(number: int, logits: Tensor, target: Tensor) -> None:
        optimizers[number].zero_grad()
        nn.functional.cross_entropy(logits, target).backward()
        optimizers[number].step()

    def ours() -> None:
        chosen = torch.randperm(len(parts), generator=generator)[:size]
        step(0, mine(pick(whole, chosen)), labels[chosen])

    def theirs() -> None:
        chosen = torch.randperm(len(parts), generator=generator)[:size]
        graphs = Batch.from_data_list([items[number] for number in chosen.tolist()])
        step(1, peer(graphs), graphs.y)

    name = f"gin training step with its batch put together ({size} graphs, 40 nodes each, 4 layers of 32)"
    return row_with_memory(name, ours, theirs, 2 if quick else 15, "five calls in a turn", 2 if quick else 5)


def _graphs(quick: bool) -> tuple[Graph, Tensor]:
    """A batch of sparse graphs of the size of DD's, and its list of edges."""
    generator, parts = torch.Generator().manual_seed(0), []
    for _ in range(3 if quick else 20):
        nodes = int(torch.randint(100, 500, (), generator=generator))
        ends = torch.randint(nodes, (2, 5 * nodes // 2), generator=generator)
        both = torch.unique(torch.cat([ends, ends.flip(0)], 1), dim=1)
        parts.append(Graph(torch.randn(nodes, 64, generator=generator), Adjacency.from_edges(both[0], both[1], nodes)))
    graph = batch(parts)
    return graph, graph.adjacency.edge_index()


def _met_first(graph: Graph, x: Tensor) -> Graph:
    """The batch as a training step meets it: nothing is made of its edges yet, as with the peer's list of edges."""
    known = graph.adjacency.pattern
    pattern = Pattern(known.rowptr, known.column, known.num_columns)
    # as `pick` knows it
    pattern.known_symmetric = known.symmetric
    return Graph.part(x, Adjacency(pattern), None, None, graph.graph_of_node, graph.num_graphs, {})


def _pools(quick: bool) -> list[dict[str, Any]]:
    from torch_geometric.nn import GCNConv, SAGPooling, TopKPooling, dense_diff_pool
    from torch_geometric.utils import to_dense_adj, to_dense_batch

    graph, index = _graphs(quick)
    owner, clusters, repeats = graph.graph_of_node, 50, 2 if quick else 15
    x = graph.x
    assert isinstance(x, Tensor)
    x = x.requires_grad_()
    scores = torch.randn(graph.num_nodes, clusters, requires_grad=True)
    # as a layer that comes after gives it; that of a sum is one number, seen everywhere
    arriving = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))

    def back(loss: Tensor) -> None:
        x.grad = scores.grad = None
        loss.backward(arriving[: len(loss)] if loss.dim() else None)

    def ours() -> None:
        found = diff_pool(_met_first(graph, x), x, scores)
        back(found.graphs.x.sum() + found.graphs.adjacency.sum() + found.link + found.entropy)

    def theirs() -> None:
        dense, mask = to_dense_batch(x, owner)
        assigned, _ = to_dense_batch(scores, owner)
        pooled, edges, link, entropy = dense_diff_pool(dense, to_dense_adj(index, owner), assigned, mask)
        back(pooled.sum() + edges.sum() + link + entropy)

    size = f"{graph.num_graphs} graphs, {graph.num_nodes:,} nodes, {graph.num_edges:,} edges, 64 features"
    rows = [
        row_with_memory(f"diffpool to {clusters} clusters ({size})", ours, theirs, repeats, "no nodes × nodes matrix")
    ]
    pairs: list[tuple[str, nn.Module, nn.Module]] = [
        ("sagpool", SAGPool(64), SAGPooling(64, GNN=GCNConv)),
        ("top-k pool", TopKPool(64), TopKPooling(64)),
    ]
    for name, module, peer in pairs:
        mine = lambda module=module: back(module(_met_first(graph, x)).graph.x)  # noqa: E731
        other = lambda peer=peer: back(peer(x, index, batch=owner)[0])  # noqa: E731
        rows.append(
            row_with_memory(f"{name} ({size})", mine, other, repeats, "ten calls in a turn", 2 if quick else 10)
        )
    return rows
