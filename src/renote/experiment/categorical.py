"""What the categorical systems share: their options and their model, by the form of the data. Light: building imports the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from renote.errors import UsageError
from renote.experiment.backbone import BackboneOptions, backbone
from renote.experiment.own_code import file_of, not_imported

if TYPE_CHECKING:
    from torch import nn

    from renote.data import SampleData
    from renote.diffusion import CategoricalModel, CategoricalProcess
    from renote.diffusion.process import Transition


@dataclass(frozen=True, kw_only=True)
class CategoricalOptions(BackboneOptions):
    """Text is denoised by a transformer of `channels` and `layers`; pictures by a U-Net, points by residual layers."""

    from_one: ClassVar[tuple[str, ...]] = ("layers",)

    transition: str = "absorbing"
    """How a category changes: absorbing (it is masked), uniform (it becomes any other alike), gaussian or nearest (it jumps to others by their distance in order), or a name that was added to TRANSITIONS."""
    transition_file: str = ""
    """Where a transition of one's own is defined; empty takes the file of its class or function, and the run folder keeps its name."""
    schedule: Literal["auto", "linear", "cosine"] = "auto"
    """The share of categories that is kept over time; auto is linear with a mask, else cosine."""
    num_train_steps: int = 1000
    """Steps T of the forward process."""
    hybrid: float = 0.0
    """Weight of the cross-entropy beside each term of the bound."""
    output: Literal["logits", "logistic"] = "logits"
    """Whether the network gives a logit a category, or place and scale of a logistic distribution over ordered categories."""
    width: float = 0.05
    """Width of gaussian jumps, as a share of the range."""
    reach: int = 1
    """How far nearest jumps go at most."""
    layers: int = 12
    """Layers of the transformer."""
    categories: int = 0
    """Number of categories; 0 takes those of the data, and the run folder keeps how many."""
    sampling_steps: int = 0
    """Steps a sample; 0 takes all that were trained."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.num_train_steps < 2:
            raise UsageError(f"num_train_steps = {self.num_train_steps}: a chain has at least 2 steps")
        if not self.hybrid >= 0:
            raise UsageError(f"hybrid = {self.hybrid}: the weight of the cross-entropy is not negative")
        if self.categories < 0 or self.categories == 1:
            raise UsageError(f"categories = {self.categories}: give at least 2, or 0 for those of the data")
        if not 0 <= self.sampling_steps <= self.num_train_steps:
            raise UsageError(f"sampling_steps = {self.sampling_steps}: 1 to {self.num_train_steps}, or 0 for all")


def count_categories(config: CategoricalOptions, data: SampleData) -> CategoricalOptions:
    """The configuration with the data's number of categories.

    Raises:
        UsageError: for data without categories, graphs, whose sites are of two kinds and may be absent, or values that are none of so many: characters and labels are as many as there are, ordered numbers evenly spaced.
    """
    if data.graphs is not None:
        raise UsageError(f"{data.name} has graphs, which are no rows of one kind of categories: take graph-diffusion")
    found = data.levels
    if found is None:
        raise UsageError(
            f"{data.name} has no categories but densities: take text, pictures of 8 bits or other whole numbers with a range"
        )
    config = replace(config, transition_file=config.transition_file or own_file(config.transition))
    if config.categories in (0, found):
        return replace(config, categories=found)
    wrong = ""
    if data.alphabet or data.categories:
        wrong = f"{data.name} has {found} {'different characters' if data.alphabet else 'labels'}"
    elif not _fit(config.categories, data):
        wrong = f"{data.name} has {found} levels, of which some are none of so many evenly spaced ones"
    if wrong:
        raise UsageError(f"categories = {config.categories}: {wrong}; give {found}, or leave categories out")
    return config


def _fit(categories: int, data: SampleData) -> bool:
    """Whether every training value is a category's."""
    import torch

    from renote.diffusion.categorical import categories_of

    values = torch.unique(torch.cat([torch.unique(part) for part in torch.split(data.train, 4096)]))
    try:
        categories_of(data.clean(values), categories)
    except UsageError:
        return False
    return True


def categorical_model(config: CategoricalOptions, data: SampleData) -> CategoricalModel:
    """Network, process and objective, as the configuration says."""
    from renote import diffusion

    # of an opened run the number is known, and the samples may be others
    config = config if config.categories else count_categories(config, data)
    process = process_named(config)
    denoiser = diffusion.CategoricalDenoiser(network(config, data, process), process)
    return diffusion.CategoricalModel(denoiser, data.shape, config.num_train_steps, config.hybrid)


def process_named(config: CategoricalOptions) -> CategoricalProcess:
    """The process of `config.transition` with its schedule."""
    from renote.diffusion import process as processes

    check_own(config.transition, config.transition_file)
    transition = processes.transition_named(
        config.transition, config.categories, width=config.width, reach=config.reach
    )
    return processes.CategoricalProcess(transition, schedule_of(config.schedule, transition))


def own_file(transition: str) -> str:
    """The file that defines a transition of one's own, by its name; empty for others."""
    from renote.diffusion.process import TRANSITIONS

    return file_of(TRANSITIONS[transition]) if transition in TRANSITIONS else ""


def check_own(transition: str, file: str) -> None:
    """Refuse a transition of one's own that nobody imported, naming the file that defined it."""
    from renote.diffusion.process import TRANSITIONS

    if file and transition not in TRANSITIONS:
        raise not_imported("transition", transition, file)


def schedule_of(schedule: str, transition: Transition) -> str:
    """What auto stands for: linear with a mask, else cosine; any other as it is."""
    if schedule != "auto":
        return schedule
    return "cosine" if transition.mask is None else "linear"


def network(config: CategoricalOptions, data: SampleData, process: CategoricalProcess) -> nn.Module:
    """A transformer for text; else what the data's shape asks for, with a value a category for each number; labels without order are shown as unit vectors."""
    from renote import nets

    transition = process.transition
    if data.alphabet:
        if config.output == "logistic":
            raise UsageError(f"output = logistic: the characters of {data.name} have no order; use logits")
        heads = max(1, config.channels // config.head_channels)
        size = (config.channels, config.layers, heads, config.dropout)
        return nets.SequenceTransformer(data.shape[0], transition.states, transition.categories, *size)
    masked = transition.mask is not None
    values = 2 if config.output == "logistic" else transition.categories
    unordered = bool(data.categories)
    if unordered and config.output == "logistic":
        raise UsageError(f"output = logistic: the labels of {data.name} have no order; use logits")
    inputs = transition.states if unordered else 2 if masked else 1
    inner = backbone(config, data, values=values, inputs=inputs)
    return nets.CategoryNetwork(inner, transition.categories, masked, config.output == "logistic", unordered)


TEXT: dict[str, Any] = {
    "steps": 3000,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "learning_rate_schedule": "cosine",
    "warmup_steps": 100,
    "channels": 128,
    "layers": 4,
    "head_channels": 32,
    "dropout": 0.0,
    "num_train_steps": 100,
    "hybrid": 0.01,
    "precision": "fp32",
}
"""Text of a megabyte in minutes on two cores."""

IMAGES: dict[str, Any] = {
    "steps": 1200,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "learning_rate_schedule": "cosine",
    "warmup_steps": 100,
    "channels": 32,
    "multipliers": (1, 2),
    "blocks": 1,
    "attention": (2,),
    "head_channels": 32,
    "dropout": 0.0,
    "num_train_steps": 100,
    "hybrid": 0.01,
}
"""Images of about 8 × 8 and few grey levels."""
