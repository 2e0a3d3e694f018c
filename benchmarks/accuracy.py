"""`python -m benchmarks.accuracy`: accuracy on citation graphs of renote's systems beside networks of PyTorch Geometric's layers, with one budget.

Both are trained by renote's trainer with the system's own settings, on the public split, from the same seeds; weights are selected by validation loss. Only the network differs: the
peer's is of its own layers with its own initialization, of the same widths, dropout and weight decay. All of it is some four hours of one core, nearly all of them the peer's, half an hour of it Cora. Stopped at any time, the same
command goes on from what is there.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Ledger
from renote import data as data_sets
from renote import systems
from renote.data import NodeData
from renote.experiment import NodeLearner, environment
from renote.graph import Graph, NodeClassification, SparseFeatures
from renote.graph.conv.message import degree_coordinates
from renote.graph.network import first_decayed
from renote.train import Trainer
from renote.train.checkpoint import write_json

ROOT = Path(__file__).parents[1]
SYSTEMS = ("gcn", "gat", "chebnet", "monet", "graphsage", "jk-net", "sign")
DATA = ("cora", "citeseer", "pubmed")
PRESETS = {("gat", "pubmed"): "pubmed"}


class PeerNetwork(nn.Module):
    """Layers of PyTorch Geometric, one after the other, with dropout before each.

    Args:
        layers: called as `layer(x, edge_index)`, or with `edge_attr` where there are coordinates.
        dropout: before each.
        activation: between layers; None for layers that have their own.
        jump: combines what all layers gave.
        head: a linear map after the last, with dropout before it.
        decay_first: weight decay on the first layer alone.
        coordinates: whether layers read the degrees at both ends of an edge.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        dropout: float,
        activation: Callable[[Tensor], Tensor] | None = functional.relu,
        jump: nn.Module | None = None,
        head: nn.Module | None = None,
        decay_first: bool = False,
        coordinates: bool = False,
    ) -> None:
        super().__init__()
        self.layers, self.jump, self.head = nn.ModuleList(layers), jump, head
        self.dropout, self.activation, self.decay_first, self.coordinates = (
            dropout,
            activation,
            decay_first,
            coordinates,
        )
        self._read: tuple[Tensor, Tensor, dict[str, Tensor]] | None = None

    def forward(self, graph: Graph) -> Tensor:
        x, index, more = self._inputs(graph)
        found = []
        for number, layer in enumerate(self.layers):
            x = layer(functional.dropout(x, self.dropout, self.training), index, **more)
            if self.activation is not None and (number < len(self.layers) - 1 or self.head is not None):
                x = self.activation(x)
            found.append(x)
        if self.jump is not None:
            x = self.jump(found)
        return x if self.head is None else self.head(functional.dropout(x, self.dropout, self.training))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        if self.decay_first:
            return first_decayed(self.layers[0], self, weight_decay)
        return [{"params": list(self.parameters()), "weight_decay": weight_decay}]

    def _inputs(self, graph: Graph) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        if self._read is None:
            index = graph.adjacency.edge_index()
            more = {"edge_attr": degree_coordinates(graph.adjacency, torch.float32)} if self.coordinates else {}
            self._read = _dense(graph), index, more
        return self._read


class PeerMixture(nn.Module):
    """PyTorch Geometric's mixture layer behind a learned map of the coordinates, as MoNet's section 5.2 has it: a sum over neighbours, equation 9, where the layer takes a mean by default; the graph's loops are in the place of a root's own weights."""

    def __init__(self, in_features: int, out_features: int, kernels: int, projected: int) -> None:
        super().__init__()
        from torch_geometric.nn import GMMConv

        self.project = nn.Linear(2, projected)
        self.convolution = GMMConv(in_features, out_features, projected, kernels, aggr="add", root_weight=False)
        self.convolution.root = None  # which the layer asks for all the same

    def forward(self, x: Tensor, index: Tensor, edge_attr: Tensor) -> Tensor:
        out: Tensor = self.convolution(x, index, self.project(edge_attr).tanh())
        return out


class PeerSign(nn.Module):
    """An inception layer over the signals of PyTorch Geometric's SIGN transform of the graph with loops, which that does not add, and dense layers, each behind a PReLU as the paper's are."""

    def __init__(self, config: Any, data: NodeData) -> None:
        super().__init__()
        from torch_geometric.data import Data
        from torch_geometric.transforms import SIGN

        index = data.graph.adjacency.with_self_loops().edge_index()
        given = Data(x=_dense(data.graph), edge_index=index, num_nodes=data.graph.num_nodes)
        read = SIGN(config.hops)(given)
        self.signals = [read.x, *(read[f"x{hop}"] for hop in range(1, config.hops + 1))]
        self.maps = nn.ModuleList(nn.Linear(data.graph.num_features, config.hidden) for _ in self.signals)
        widths = [len(self.signals) * config.hidden, *[config.hidden] * (config.layers - 2), data.num_classes]
        self.dense = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.activations = nn.ModuleList(nn.PReLU() for _ in self.dense)
        self.config = config

    def forward(self, graph: Graph) -> Tensor:
        config = self.config
        signals = [functional.dropout(signal, config.input_dropout, self.training) for signal in self.signals]
        x = torch.cat([of(signal) for of, signal in zip(self.maps, signals, strict=True)], 1)
        for activation, layer in zip(self.activations, self.dense, strict=True):
            x = layer(functional.dropout(activation(x), config.dropout, self.training))
        return x

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        return first_decayed(self.maps, self, weight_decay)


def peer(name: str, config: Any, data: NodeData) -> nn.Module:
    """The network of PyTorch Geometric's layers that has a system's widths.

    Args:
        name: of the system.
        config: of it.
        data: graph and classes.
    """
    from torch_geometric.nn import ChebConv, GATConv, GCNConv, JumpingKnowledge, SAGEConv

    features, classes = data.graph.num_features, data.num_classes
    hidden = [features, *[config.hidden] * (config.layers - 1)]
    pairs = list(itertools.pairwise([*hidden, classes]))
    if name == "gcn":
        return PeerNetwork([GCNConv(i, o, cached=True) for i, o in pairs], config.dropout, decay_first=True)
    if name == "chebnet":
        layers = [ChebConv(i, o, K=config.order + 1) for i, o in pairs]
        return PeerNetwork(layers, config.dropout, decay_first=True)
    if name == "monet":
        mixtures = [PeerMixture(i, o, config.kernels, config.projected) for i, o in pairs]
        return PeerNetwork(mixtures, config.dropout, coordinates=True)
    if name == "gat":
        widths = [features, *[config.heads * config.hidden] * (config.layers - 1)]
        shared = {"dropout": config.attention_dropout}
        heads = [GATConv(width, config.hidden, config.heads, **shared) for width in widths[:-1]]
        last = GATConv(widths[-1], classes, config.output_heads, concat=False, **shared)
        return PeerNetwork([*heads, last], config.dropout, functional.elu)
    whole = [*hidden, config.hidden]
    if name == "graphsage":
        # the layer's own lengths are those before the ReLU, the paper's those after it
        sage = [SAGEConv(i, o) for i, o in itertools.pairwise(whole)]
        return PeerNetwork(sage, config.dropout, _of_unit_length, head=nn.Linear(config.hidden, classes))
    if name == "jk-net":
        layers = [GCNConv(i, o, cached=True) for i, o in itertools.pairwise(whole)]
        jump = JumpingKnowledge(config.jump, config.hidden, config.layers)
        return PeerNetwork(layers, config.dropout, jump=jump, head=nn.Linear(config.hidden, classes))
    if name == "sign":
        return PeerSign(config, data)
    raise ValueError(name)


def trained(name: str, library: str, data: NodeData, seed: int) -> dict[str, float]:
    """Test accuracy in percent and seconds of one training.

    Args:
        name: of the system.
        library: `renote` or `pyg`.
        data: with the public split.
        seed: of weights and dropout.
    """
    system = systems.get(name)
    config = system.configure(PRESETS.get((name, data.name), "laptop"), seed=seed, precision="fp32")
    torch.manual_seed(seed)
    task = system.build(config, data)
    if library == "pyg":
        torch.manual_seed(seed)
        # of the system's graph: MoNet's has loops
        task = NodeClassification(peer(name, config, data), task.graph, data.labels, data.splits)
    done = Trainer(NodeLearner(task, 0, seed), config, progress=False).run()
    if done.interrupted:
        raise KeyboardInterrupt  # what it reached is no measurement
    return {"accuracy": 100 * task.accuracy("test"), "seconds": done.seconds, "steps": done.step}


def compare(names: Sequence[str], sets: Sequence[str], seeds: Sequence[int], work: Path, out: Path) -> dict[str, Any]:
    """Every training that is not there yet, and the document of all.

    Args:
        names: of systems.
        sets: names of data.
        seeds: of the trainings.
        work: folder of what was measured.
        out: folder of `accuracy.json`.
    """
    ledger = Ledger(work / "accuracy.json")
    console = Console(stderr=True)
    for data_name in sets:
        data = data_sets.load(data_name)
        assert isinstance(data, NodeData)
        for name, seed, library in itertools.product(names, seeds, ("renote", "pyg")):
            key = _key(data_name, name, library, seed)
            if ledger.find(key):
                continue
            row = trained(name, library, data, seed)
            ledger.add({**key, **row})
            told = f"{data_name} {name} {library} {seed}"
            console.print(f"{told}: {row['accuracy']:.1f} % in {row['seconds']:.1f} s")
    rows = [_row(ledger, data_name, name, seeds) for data_name in sets for name in names]
    document = {
        **environment.describe(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": "python -m benchmarks.accuracy",
        "seeds": list(seeds),
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "accuracy.json", document)
    return document


def _key(data: str, name: str, library: str, seed: int) -> dict[str, Any]:
    return {"data": data, "system": name, "library": library, "seed": seed}


def _row(ledger: Ledger, data: str, name: str, seeds: Sequence[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"data": data, "system": name}
    for library in ("renote", "pyg"):
        of = [one for seed in seeds if (one := ledger.find(_key(data, name, library, seed)))]
        values = [one["accuracy"] for one in of]
        row[library] = {
            "values": values,
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else 0.0,
            "seconds": statistics.median(one["seconds"] for one in of),
            "steps": statistics.median(one["steps"] for one in of),
        }
    return row


def _of_unit_length(x: Tensor) -> Tensor:
    return functional.normalize(x.relu(), dim=-1)


def _dense(graph: Graph) -> Tensor:
    assert graph.x is not None
    return graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=10, help="trainings of each")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "accuracy", help="from which it goes on")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder of accuracy.json")
    parser.add_argument("--fresh", action="store_true", help="forget what the work folder holds")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    compare(given.systems, given.data, range(given.seeds), given.work, given.out)


if __name__ == "__main__":
    main()
