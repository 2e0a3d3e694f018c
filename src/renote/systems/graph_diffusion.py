"""Diffusion of graphs: the types of nodes and of edges are categories that turn into others.

Vignac, Krawczuk, Siraudin, Wang, Cevher & Frossard, "DiGress: Discrete Denoising Diffusion for Graph Generation", ICLR 2023, arXiv:2209.14734.

    q(x_i | x_0), q(e_ij | e_0)   each node and each pair on its own, Q(a) = a I + (1 - a) 1 mᵀ, m the data's frequencies     section 4.1
    p(G_s | G_t) = Π_i Σ_x q(x_i,s | x_i,t, x) p̂_i(x | G_t) · Π_ij Σ_e q(e_ij,s | e_ij,t, e) p̂_ij(e | G_t)                  (3), (4)
    L = Σ_i -log p̂_i(x_i | G_t) + λ Σ_ij -log p̂_ij(e_ij | G_t)                                                             (2)

p̂ is a graph transformer, equivariant to the order of the nodes, that is shown the cycles, walks and spectrum of G_t (section 4.2). A graph's size is drawn first, by
its frequency. Here each node and each pair is a site of one sum, so λ = 1 weighs the mean over pairs (n - 1) / 2 times that over nodes: 4 times in graphs of nine nodes, and
5 times, the paper's λ, in those of eleven.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from renote.errors import UsageError, unknown
from renote.experiment import CategoricalOptions, Claim, GenerativeSystem, Paper
from renote.experiment.categorical import check_own, own_file, schedule_of
from renote.experiment.graph_claims import qm9, small_graphs
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from renote.data import GraphForm, SampleData
    from renote.diffusion import CategoricalModel
    from renote.diffusion.process import SizedProcess


@dataclass(frozen=True, kw_only=True)
class Config(TrainOptions):
    """Vignac et al. (2022), appendix C, for QM9 without hydrogen."""

    from_one = ("width", "edge_width", "global_width", "layers", "channels")
    from_zero = ("hybrid", "bound_weight")
    rates = ("dropout",)

    steps: int = 130_000
    batch_size: int = 1024
    optimizer: Literal["adam", "adamax", "adamw", "sgd", "adagrad"] = "adamw"
    learning_rate: float = 2e-4
    weight_decay: float = 1e-12
    transition: str = "marginal"
    """What a type turns into: any by its frequency in the data (marginal), any alike (uniform), a mask (absorbing), others by d3pm's jumps (gaussian, nearest), or a name that was added to TRANSITIONS."""
    transition_file: str = ""
    """Where a transition of one's own is defined; empty takes the file of its class or function, and the run folder keeps its name."""
    schedule: Literal["auto", "linear", "cosine"] = "auto"
    """The share of types that is kept over time; auto is linear with a mask, else cosine."""
    num_train_steps: int = 500
    """Steps T of the forward process."""
    hybrid: float = 1.0
    """Weight of the cross-entropy."""
    bound_weight: float = 0.0
    """Weight of the variational bound; the paper trains on the cross-entropy alone."""
    width: int = 256
    """Of nodes in the network."""
    edge_width: int = 64
    """Of pairs of nodes."""
    global_width: int = 64
    """Of what is kept of the whole graph."""
    layers: int = 9
    """Layers of the graph transformer."""
    channels: int = 256
    """Of attention between nodes."""
    dropout: float = 0.1
    """Probability, on what a layer adds."""
    spectral: bool = True
    """Whether the network is shown the graph's spectrum beside its cycles, walks and degrees."""
    sampling_steps: int = 0
    """Steps a sample; 0 takes all that were trained."""
    node_chances: tuple[float, ...] = ()
    """Frequency of each type of node; empty takes the data's, and the run folder keeps it. So with the next two."""
    edge_chances: tuple[float, ...] = ()
    """Frequency of each type of edge."""
    size_chances: tuple[float, ...] = ()
    """Frequency of each number of nodes, from 1."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if not 0 <= self.sampling_steps <= self.num_train_steps:
            raise UsageError(f"sampling_steps = {self.sampling_steps}: 1 to {self.num_train_steps}, or 0 for all")


def settle(config: Config, data: SampleData) -> Config:
    """The configuration with the frequencies of the training graphs.

    Raises:
        UsageError: for data that are no graphs, or frequencies that are not theirs.
    """
    form = _form(data)
    import torch

    counts = {"node_chances": len(form.node_types), "edge_chances": len(form.edge_types), "size_chances": form.nodes}
    for option, count in counts.items():
        _check(option, getattr(config, option), count, data.name)

    node, edge = data.train[:, : form.nodes].long(), data.train[:, form.nodes :].long()
    size = (node != form.absent).sum(1)
    for number in torch.unique(size).tolist() if config.size_chances else ():
        if config.size_chances[number - 1] == 0:
            raise UsageError(
                f"size_chances = {config.size_chances}: {data.name} has graphs of {number} nodes, whose chance is 0; give it a positive one, or leave size_chances out"
            )

    def shares(values: torch.Tensor, count: int) -> tuple[float, ...]:
        found = torch.bincount(values.flatten(), minlength=count)[:count].double()
        return tuple((found / found.sum()).tolist())

    return replace(
        config,
        transition_file=config.transition_file or own_file(config.transition),
        node_chances=config.node_chances or shares(node, len(form.node_types)),
        edge_chances=config.edge_chances or shares(edge, len(form.edge_types)),
        size_chances=config.size_chances or shares(size - 1, form.nodes),
    )


def build(config: Config, data: SampleData) -> CategoricalModel:
    """A graph transformer that undoes the categorical process of nodes and pairs."""
    from renote import diffusion, graph

    form = _form(data)
    process = process_of(config, form)
    states, categories = process.transition.states, process.categories
    network = graph.GraphTransformer(
        form.nodes,
        len(form.node_types),
        len(form.edge_types),
        states,
        categories,
        config.width,
        config.edge_width,
        config.global_width,
        config.layers,
        config.channels,
        config.dropout,
        config.spectral,
    )
    denoiser = diffusion.CategoricalDenoiser(network, process)
    return diffusion.CategoricalModel(
        denoiser, data.shape, config.num_train_steps, config.hybrid, bound_weight=config.bound_weight
    )


def process_of(config: Config, form: GraphForm) -> SizedProcess:
    """Nodes and pairs, each with its own transition; a single type stays what it is.

    Args:
        config: with the frequencies of the data.
        form: what the types are.
    """
    import torch

    from renote import graph
    from renote.diffusion import process as processes

    def transition(chances: tuple[float, ...]) -> processes.Transition:
        if len(chances) == 1:
            return processes.Fixed()
        if config.transition == "marginal":
            return processes.Marginal(torch.tensor(chances))
        # types have no order, so there are no options for how far jumps go
        width, reach = CategoricalOptions.width, CategoricalOptions.reach
        return processes.transition_named(config.transition, len(chances), width=width, reach=reach)

    check_own(config.transition, config.transition_file)
    families = ("marginal", *processes.TRANSITIONS)
    if config.transition not in families:
        raise unknown("transition", config.transition, families)
    parts = [(form.nodes, transition(config.node_chances))]
    if form.nodes > 1:
        parts.append((graph.sites_of(form.nodes) - form.nodes, transition(config.edge_chances)))
    sizes, transitions = torch.tensor(config.size_chances, dtype=torch.float64), processes.Parts(parts)
    schedule = schedule_of(config.schedule, transitions)
    return processes.SizedProcess(transitions, graph.sites_there(form.nodes), sizes, schedule)


def _check(option: str, chances: tuple[float, ...], count: int, name: str) -> None:
    """Refuse frequencies that are not as many as the data have types or sizes, or are none."""
    if not chances:
        return
    if len(chances) != count:
        each = {"node": "type of nodes", "edge": "type of edges, none among them", "size": "number of nodes, from 1"}
        raise UsageError(
            f"{option} = {chances}: {name} takes {count}, one for each {each[option[:4]]}; give so many, or leave {option} out"
        )
    if not all(0 <= chance < math.inf for chance in chances) or not sum(chances) > 0:
        raise UsageError(f"{option} = {chances}: frequencies are finite, none is negative, and one positive")


def _form(data: SampleData) -> GraphForm:
    if data.graphs is None:
        raise UsageError(
            f"{data.name} has no graphs to generate: take qm9, small-communities, small-planar, molecules:FILE.csv, or graphs:FOLDER"
        )
    return data.graphs


def prepare(data: Any) -> Any:
    """Whole graphs and molecules as rows of types."""
    from renote import data as data_sets

    return data_sets.rows_of(data) if isinstance(data, data_sets.GraphData) else data


LAPTOP = {
    "steps": 6000,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "cosine",
    "warmup_steps": 100,
    "num_train_steps": 100,
    "width": 64,
    "edge_width": 32,
    "global_width": 32,
    "layers": 4,
    "channels": 32,
    "dropout": 0.0,
    "spectral": False,
    "gradient_clip": 1.0,
    "ema_decay": 0.998,
    "precision": "fp32",
}

SYSTEM = GenerativeSystem(
    name="graph-diffusion",
    title="Diffusion of graphs and molecules",
    paper=Paper(
        "Vignac, Krawczuk, Siraudin, Wang, Cevher & Frossard",
        "DiGress: Discrete Denoising Diffusion for Graph Generation",
        2023,
        "ICLR 2023",
        "arXiv:2209.14734",
    ),
    parts=(
        "categorical process of nodes and of pairs, each with its own transition",
        "marginal, uniform or absorbing transitions",
        "graph transformer",
        "cycles, walks and spectrum as features",
        "ancestral sampler",
    ),
    data="qm9",
    config=Config,
    build=build,
    settle=settle,
    prepare=prepare,
    presets={
        "laptop": LAPTOP,
        "full": LAPTOP
        | {
            "steps": 80_000,
            "learning_rate": 2e-3,
            "num_train_steps": 500,
            "checkpoint_every": 4000,
            "ema_decay": 0.999,
        },
        "graphs": LAPTOP | {"steps": 2000, "batch_size": 32, "spectral": True},
    },
    claims=(
        Claim(
            "qm9",
            "Trained on small organic molecules, most of what it makes are valid molecules, nearly all different.",
            "Table 2",
            {"validity, %": 99.0, "uniqueness, %": 96.2},
            qm9,
        ),
        Claim(
            "small-graphs",
            "Trained on small graphs, of communities or in the plane, what it makes is nearer to them in degrees, clustering and patterns than random graphs of the same sizes and density.",
            "Table 1",
            {},
            small_graphs,
        ),
    ),
    notes="Full size is the laptop's network with T = 500 and 80,000 steps of 64, three hours on one thread of a shared processor: of 10,000 samples 97.3 % are valid in one piece, 98.0 % as the paper counts, pieces allowed; "
    "97.4 % of the valid ones differ and 40 % are not in the data. Its schedule was shortened and lengthened while it ran (planned for 60,000 steps until 7,169, for 45,000 to their end, for 110,000, then 88,000 and, from 56,000 on, 80,000), "
    "so the rate of learning rose once, at 45,000. A network of 256 features and six layers, trained for four minutes on one H100 (2000 steps of 2048), had 96.5 % in one piece and 98.0 % as the paper counts. "
    "The checkpoint qm9-molecules, that comes with renote, is this network: of 500 samples in the half precision that is shipped 97.4 % are valid in one piece. "
    "Small graphs: all three distances are below those of random graphs with every seed; of communities they are those of the training graphs, of planar graphs degrees and clustering are not yet (0.004 and 0.076 against 0.0001 and 0.006). "
    "At laptop size, three trainings of five minutes: 89.0 ± 1.8 % valid in one piece, 93.0 % as the paper counts, 99.7 % of the valid ones differ, 59 % are new.",
)
