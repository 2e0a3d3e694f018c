"""What a file of `systems/` declares: a paper, parts, a configuration, and claims that run. Light: no tensor library."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from renote.errors import DataError, UsageError, unknown
from renote.train.options import TrainOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from renote.data import Data, GraphData, NodeData, RatingData, SampleData
    from renote.experiment.lab import Lab
    from renote.experiment.node import NodeRun
    from renote.experiment.recommend import RecommendRun
    from renote.experiment.run import Run
    from renote.experiment.sample import SampleRun
    from renote.experiment.signal import SignalRun
    from renote.train import Learner

Size = Literal["laptop", "full"]
R = TypeVar("R", bound="Run", covariant=True)


@dataclass(frozen=True)
class Paper:
    """Where a system was published.

    Args:
        authors: as they are cited, e.g. `"Ho, Jain & Abbeel"`.
        title: the paper's title.
        year: of publication.
        venue: conference or journal.
        id: identifier, e.g. `"arXiv:2006.11239"`.
    """

    authors: str
    title: str
    year: int
    venue: str
    id: str


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Args:
        measured: numbers by name.
        holds: whether the claim holds in them.
        figure: the picture of it.
        seeds: the seeds that were run.
        note: what a reader must know of the set-up.
    """

    measured: Mapping[str, Any]
    holds: bool
    figure: Figure
    seeds: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, and the experiment that tests it.

    Args:
        id: short name.
        statement: the claim, in one sentence.
        where: table or figure of the paper.
        published: the paper's numbers by name.
        experiment: `experiment(lab)` measures; `lab.size` is `laptop` or `full`.
        verified: whether the published numbers were checked in a copy of the paper.
    """

    id: str
    statement: str
    where: str
    published: Mapping[str, Any]
    experiment: Callable[[Lab], Outcome]
    verified: bool = False


@dataclass(frozen=True, kw_only=True)
class System(Generic[R]):
    """A published system as a recipe.

    Args:
        name: its name on the command line, that of its file.
        title: one line.
        paper: where it was published.
        parts: the parts that it is composed of.
        data: the data set that it is shown on.
        config: its configuration; the defaults are the paper's.
        build: `build(config, data)` gives the module that is trained.
        settle: `settle(config, data)` gives the configuration with what is measured on the training data in the place of options that were left open; it
            is what is built, and what the run folder keeps.
        prepare: `prepare(data)` gives data in the form that it takes, if it takes more than one.
        presets: changes to the paper's values, by name; `laptop` trains in minutes on two cores.
        claims: what its paper says of it.
        measured_by: system and id of a claim that measures it beside others, if it has none of its own.
        notes: what holds here and what does not.
    """

    name: str
    title: str
    paper: Paper
    parts: tuple[str, ...]
    data: str
    config: type[TrainOptions]
    build: Callable[[Any, Any], Any]
    settle: Callable[[Any, Any], Any] | None = None
    prepare: Callable[[Any], Any] | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"laptop": {}})
    claims: tuple[Claim, ...] = ()
    measured_by: tuple[str, str] | None = None
    notes: str = ""
    family: ClassVar[str]
    task: ClassVar[str]
    kind: ClassVar[str]
    """Of data that it needs: one of `renote.data.FORMS`."""
    generates: ClassVar[bool] = False
    """Whether it makes samples; else it predicts."""

    @property
    def needs(self) -> str:
        """What data it is trained on, in words."""
        from renote.data import FORMS

        return FORMS[self.kind][1]

    def configure(self, preset: str = "laptop", **changes: Any) -> TrainOptions:
        """A configuration: the paper's values, then the preset's, then these.

        Raises:
            UsageError: for an unknown preset or option, or a value out of range.
        """
        if preset != "paper" and preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, ["paper", *self.presets])
        known = [f.name for f in dataclasses.fields(self.config)]
        for change in changes:
            if change not in known:
                raise unknown(f"option of {self.name}", change, known)
        try:
            return self.config(**{**({} if preset == "paper" else self.presets[preset]), **changes})
        except TypeError as error:
            raise UsageError(f"configuration of {self.name}: {error}") from error

    def claim(self, id: str | None = None) -> Claim:
        """The claim of that name, or the first.

        Raises:
            UsageError: if there is none.
        """
        if not self.claims and self.measured_by is not None:
            other, claim_id = self.measured_by
            raise UsageError(
                f"{self.name} makes no claim of its own: what it reaches is measured by the claim {claim_id} of {other}; "
                f"renote reproduce {other} --claim {claim_id}"
            )
        if not self.claims:
            raise UsageError(
                f"{self.name} makes no claim of its own: compare it with others, "
                f"e.g. renote compare {self.name} NAME --data {self.data}"
            )
        if id is None:
            return self.claims[0]
        for claim in self.claims:
            if claim.id == id:
                return claim
        raise unknown(f"claim of {self.name}", id, [claim.id for claim in self.claims])

    def train(
        self,
        data: str | Data | None = None,
        out: str | Path | None = None,
        *,
        preset: str = "laptop",
        resume: bool = False,
        progress: bool = True,
        **changes: Any,
    ) -> R:
        """Train on data, keeping everything below `out` if given.

        Args:
            data: a name, a path, or loaded data; the system's own by default.
            out: a new folder, or one of the same run with `resume`.
            preset: `"laptop"` or `"paper"`.
            resume: go on from the newest checkpoint.
            progress: show a progress bar on standard error.
            changes: fields of the configuration, e.g. `steps=2000, seed=1`.

        Raises:
            UsageError: for options out of range, unsuitable data, or a folder that holds another run.
        """
        from renote.experiment.run import train

        config = self.configure(preset, **changes)
        config.refuse_idle(self.configure(preset))
        run: Any = train(self, self.data if data is None else data, config, out, resume, progress)
        return run  # type: ignore[no-any-return]

    def prepared(self, data: Any) -> Any:
        """Data in the form that it takes."""
        return data if self.prepare is None else self.prepare(data)

    def learner(self, config: TrainOptions, data: Any) -> Learner:
        """The module, its loss and its batches, for the trainer."""
        raise NotImplementedError

    def check(self, config: Any, data: Any) -> None:
        """What training asks of data, and the use of trained weights does not: a `DataError` or `UsageError` where it is not there."""

    def run(self, config: TrainOptions, data: Any, learner: Learner, folder: Path | None) -> R:
        """What can be done with trained weights."""
        raise NotImplementedError

    def summary(self) -> dict[str, Any]:
        """The row of `renote list --json`."""
        paper = dataclasses.asdict(self.paper)
        return {
            "name": self.name,
            "title": self.title,
            "family": self.family,
            "task": self.task,
            "paper": {key: paper[key] for key in ("authors", "title", "year", "id")},
            "claims": [
                {"id": claim.id, "statement": claim.statement, "published": dict(claim.published)}
                for claim in self.claims
            ],
        }


@dataclass(frozen=True, kw_only=True)
class GenerativeSystem(System["SampleRun"]):
    """A system that learns to make samples like those of a data set."""

    family: ClassVar[str] = "diffusion"
    task: ClassVar[str] = "generation"
    kind: ClassVar[str] = "samples"
    generates: ClassVar[bool] = True

    def learner(self, config: TrainOptions, data: SampleData) -> Learner:
        """The diffusion model with batches of the data."""
        from renote.experiment.sample import SampleLearner

        return SampleLearner(self.build(config, data), data, config)

    def run(self, config: TrainOptions, data: SampleData, learner: Learner, folder: Path | None) -> SampleRun:
        """A run that can sample."""
        from renote.experiment.sample import SampleRun

        return SampleRun(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class NodeSystem(System["NodeRun"]):
    """A system that tells the classes of a graph's nodes from some that are known.

    Args:
        reads_features: whether it needs node features.
        inductive: whether it learns weights that serve any graph; if not, known labels flow within their own.
    """

    reads_features: bool = True
    inductive: bool = True
    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "node classification"
    kind: ClassVar[str] = "nodes"

    def learner(self, config: TrainOptions, data: NodeData) -> Learner:
        """The network on its graph, with the batches that the configuration asks for.

        Raises:
            DataError: no node has a label.
            UsageError: the nodes have no features and the system needs some; or it is not inductive and nodes are of several classes, or of graphs without training nodes.
        """
        if not self.inductive and (data.several or data.inductive):
            why = "its nodes are of several classes" if data.several else "no node of some test graphs is trained on"
            raise UsageError(
                f"{self.name} passes known labels along the edges of their own graph, but of {data.name} {why}: take a system that learns, "
                "e.g. mlp or gcn"
            )
        if not data.num_classes or (not self.inductive and not len(data.train)):
            raise DataError(
                f"{data.name}: no node has a label; add a column 'label' where it is known, or cluster the nodes, e.g. by dmon"
            )
        if self.reads_features and data.graph.num_features == 0:
            raise UsageError(
                f"the nodes of {data.name} have no features, which {self.name} needs: give each node a vector that is learned "
                "(graph.identity_features), its degree (graph.degree_features), or take label-propagation"
            )
        from renote.experiment.node import node_learner

        return node_learner(self.build(config, data), config)

    def check(self, config: Any, data: NodeData) -> None:
        """Some nodes are trained on, there are no more clusters than nodes, and weights of edges where neighbours are drawn by them."""
        from renote.experiment.node import check_training

        check_training(config, data)

    def run(self, config: TrainOptions, data: NodeData, learner: Learner, folder: Path | None) -> NodeRun:
        """A run that can predict."""
        from renote.experiment.node import NodeRun

        return NodeRun(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class SignalSystem(System["SignalRun"]):
    """A system that tells the classes of signals on one fixed graph, such as pictures on the graph of their pixels."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "signal classification"
    kind: ClassVar[str] = "samples"

    @property
    def needs(self) -> str:
        """As of any system."""
        return "labelled samples on a grid"

    def learner(self, config: Any, data: SampleData) -> Learner:
        """The classifier with batches of the training samples."""
        from renote.experiment.signal import SignalLearner

        return SignalLearner(self.build(config, data), data, config)

    def run(self, config: TrainOptions, data: SampleData, learner: Learner, folder: Path | None) -> SignalRun:
        """A run that can predict."""
        from renote.experiment.signal import SignalRun

        return SignalRun(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class GraphSystem(System["Any"]):
    """A system that tells the classes or values of whole graphs.

    Args:
        reads_smiles: whether it looks at molecules' SMILES, and so at molecules alone.
    """

    reads_smiles: bool = False

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "graph prediction"
    kind: ClassVar[str] = "graphs"

    def learner(self, config: TrainOptions, data: GraphData) -> Learner:
        """The network with batches of the training graphs.

        Raises:
            UsageError: the graphs have neither classes nor values; or are no molecules, and the system looks at SMILES.
        """
        from renote.experiment.graph import graph_learner

        return graph_learner(self, config, data)

    def check(self, config: Any, data: GraphData) -> None:
        """Some graphs are trained on, of two classes at least where they have classes."""
        from renote.experiment.graph import check_training

        check_training(data)

    def run(self, config: TrainOptions, data: GraphData, learner: Learner, folder: Path | None) -> Any:
        """A run that can predict."""
        from renote.experiment.graph import graph_run

        return graph_run(self, config, data, learner.module, folder)


@dataclass(frozen=True, kw_only=True)
class RecommendSystem(System["RecommendRun"]):
    """A system that tells which items a user will take, from who took what."""

    family: ClassVar[str] = "graph"
    task: ClassVar[str] = "recommendation"
    kind: ClassVar[str] = "ratings"

    def learner(self, config: Any, data: RatingData) -> Learner:
        """The recommender with batches of the training pairs."""
        from renote.experiment.recommend import RecommendLearner

        return RecommendLearner(self.build(config, data), config)

    def run(self, config: TrainOptions, data: RatingData, learner: Learner, folder: Path | None) -> RecommendRun:
        """A run that can recommend."""
        from renote.experiment.recommend import RecommendRun

        return RecommendRun(self, config, data, learner.module, folder)
