"""Missing facts as an experiment: a batch is some facts, each beside others that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from renote.data import FactData
from renote.errors import DataError, UsageError
from renote.experiment.fact_options import FactOptions
from renote.experiment.names import numbers_of
from renote.experiment.predictions import write_rows
from renote.experiment.run import Run
from renote.graph import FactPrediction
from renote.train.learner import Batch, PlainLearner
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MISSING = 1000
"""Rows of the table of what is most likely missing."""
_DRAWN = 12
Question = tuple[str, str, str]
"""Head, relation and tail, of which the head or the tail is "?"."""


class FactLearner(PlainLearner):
    """A predictor of facts; weights are selected by the mean reciprocal rank of the validation facts, of what it lacks of 1.

    Args:
        task: network and facts.
        config: batch size, seed and negatives.

    Raises:
        UsageError: there is nothing to learn from.
    """

    module: FactPrediction

    def __init__(self, task: FactPrediction, config: FactOptions) -> None:
        self.module, self.negatives = task, config.negatives
        facts = len(task.parts["train"])
        if not facts or task.num_entities < 2:
            raise UsageError(f"there is nothing to learn from: {facts} facts of {task.num_entities} entities")
        self.order = EpochOrder(facts, min(config.batch_size or facts, facts), config.seed)
        self.metric = "lacking" if len(task.parts["validation"]) else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The step's facts and what stands in the place of their heads or tails."""
        fact = self.order.indices(step)
        form = (len(fact), self.negatives)
        other = torch.randint(self.module.num_entities, form, generator=generator)
        return {"fact": fact, "other": other, "tail": torch.rand(form, generator=generator) < 0.5}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The task's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Ranks of the validation facts, and what the mean reciprocal one lacks."""
        found = self.module.ranking("validation")
        return {"lacking": 1 - found["mrr"], **found} if found else {}


class FactRun(Run):
    """A trained predictor of facts."""

    module: FactPrediction
    config: FactOptions
    data: FactData

    @property
    def next_command(self) -> str:
        """Answers, or the likeliest of all missing facts."""
        return f"complete {self.folder} --head … --relation …, or renote {super().next_command}"

    def complete(self, questions: Sequence[Question], k: int = 10) -> list[list[tuple[str, float]]]:
        """The likeliest answers that are not known.

        Args:
            questions: (head, relation, "?") or ("?", relation, tail), by name.
            k: answers each.

        Returns:
            For each question its answers with their probabilities, likeliest first; fewer than k where fewer entities are left.

        Raises:
            UsageError: an entity or relation that was not there in training, a question with no or two "?", or k below 1.
        """
        if k < 1:
            raise UsageError(f"k = {k}: ask for at least one answer")
        entity, relation = self._numbers(questions)
        vectors, device = self.module.vectors(), self.module.relation.device
        found: list[list[tuple[str, float]]] = [[] for _ in questions]
        for tails in (True, False):
            places = [place for place, (_, _, tail) in enumerate(questions) if (tail == "?") == tails]
            given, kind = (
                torch.tensor([numbers[place] for place in places], dtype=torch.long, device=device)
                for numbers in (entity, relation)
            )
            entities, scores = self.module.answers(given, kind, tails, k, vectors)
            left = (scores > -torch.inf).sum(1).tolist()
            for place, row, of_row, count in zip(
                places, entities.tolist(), scores.sigmoid().tolist(), left, strict=True
            ):
                names = [self.data.entities[entity] for entity in row[:count]]
                found[place] = list(zip(names, of_row[:count], strict=True))
        return found

    def missing(self, k: int = MOST_MISSING) -> list[tuple[str, str, str, float]]:
        """The facts that are most likely missing, with their probabilities, likeliest first.

        Of each, the relation has the head or the tail in some fact of training.

        Args:
            k: most facts.
        """
        facts, scores = self.module.missing(k)
        return [
            (*self._named(fact), probability)
            for fact, probability in zip(facts.tolist(), scores.sigmoid().tolist(), strict=True)
        ]

    def write_predictions(self, path: Path) -> int:
        """Write a table of what is most likely missing: head, relation, tail, probability.

        Args:
            path: of the .csv file.
        """
        return write_rows(
            path, ["head", "relation", "tail", "probability"], [[*row[:3], f"{row[3]:.6f}"] for row in self.missing()]
        )

    @staticmethod
    def write_answers(path: Path, questions: Sequence[Question], found: Sequence[Sequence[tuple[str, float]]]) -> int:
        """Write a table with a row an answer: head, relation, tail, rank from 1, probability.

        Args:
            path: of the .csv file.
            questions: as `complete`.
            found: what `complete` gave.

        Returns:
            The number of rows.
        """
        rows = [
            [answer if head == "?" else head, relation, answer if tail == "?" else tail, rank, f"{share:.6f}"]
            for (head, relation, tail), answers in zip(questions, found, strict=True)
            for rank, (answer, share) in enumerate(answers, 1)
        ]
        return write_rows(path, ["head", "relation", "tail", "rank", "probability"], rows)

    def picture(self, node: int | None = None) -> Figure:
        """An entity amid what is known of it, and what is most likely missing.

        Args:
            node: number of the entity in the order of names; None takes the one with the most facts.

        Raises:
            UsageError: there is no such entity.
        """
        from renote.evaluate import draw_facts

        facts = self.data.facts
        if node is None:
            node = int(torch.bincount(facts[:, [0, 2]].flatten(), minlength=self.data.num_entities).argmax())
        if not 0 <= node < self.data.num_entities:
            raise UsageError(
                f"node = {node}: it is an entity, and those of {self.data.name} go from 0 to {self.data.num_entities - 1}"
            )
        known = facts[(facts[:, 0] == node) | (facts[:, 2] == node)]
        likely, scores = (part.cpu() for part in self.module.missing_about(node, _DRAWN))
        title = f"{self.system.name} on {self.data.name}: what is known of {self.data.entities[node]}, and what is likely missing"
        return draw_facts(node, known, likely, scores.sigmoid(), self.data.entities, self.data.relations, title)

    def evaluate(self) -> dict[str, Any]:
        """Mean reciprocal rank and hits among the validation and the test facts, other known answers left out; and the rank with these."""
        vectors = self.module.vectors()
        found = {
            f"{part}_{name}": value
            for part in ("validation", "test")
            for name, value in self.module.ranking(part, vectors).items()
        }
        raw = self.module.ranking("test", vectors, filtered=False)
        return found | ({"test_raw_mrr": raw["mrr"]} if raw else {})

    def _named(self, fact: Sequence[int]) -> tuple[str, str, str]:
        head, relation, tail = fact
        return self.data.entities[head], self.data.relations[relation], self.data.entities[tail]

    def _numbers(self, questions: Sequence[Question]) -> tuple[list[int], list[int]]:
        """Of each question the entity that is given, and the relation."""
        given = []
        for head, relation, tail in questions:
            if (head == "?") == (tail == "?"):
                raise UsageError(
                    f"({head}, {relation}, {tail}) asks for {'two entities' if head == '?' else 'nothing'}: write ? in the place of the head or of the tail"
                )
            given.append(tail if head == "?" else head)
        entities, relations = (
            numbers_of(
                asked,
                known,
                f"the {what}",
                self.data.name,
                "what was",
                "Add facts with it and train anew",
            )
            for what, asked, known in (
                ("entity", given, self.data.entities),
                ("relation", [relation for _, relation, _ in questions], self.data.relations),
            )
        )
        return entities, relations


def read_questions(path: Path) -> list[Question]:
    """Questions of a file, a line each: head, relation and tail with tabs between them, of which the head or the tail is "?".

    Raises:
        DataError: the file cannot be read, or a line is no question; the message names it.
    """
    from renote.data.facts import lines_of

    found: list[Question] = []
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3 or "" in cells:
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is no question: write head, relation and tail with tabs between them, one of the ends as ?"
            )
        found.append((cells[0], cells[1], cells[2]))
    if not found:
        raise DataError(f"{path} has no questions")
    return found
