"""Recommendation as an experiment: a batch is some pairs, each with an item that its user has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from renote.data import RatingData
from renote.errors import UsageError
from renote.experiment.names import numbers_of
from renote.experiment.predictions import write_rows
from renote.experiment.recommend_options import RecommendOptions
from renote.experiment.run import Run
from renote.graph import Recommendation
from renote.train.learner import Batch, PlainLearner
from renote.train.order import EpochOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 5


class RecommendLearner(PlainLearner):
    """A recommender; weights are selected by recall on the validation pairs, of which a part of the list's length is missed.

    Args:
        task: network and pairs.
        config: batch size, seed, and the list's length.

    Raises:
        UsageError: there is no pair to learn from.
    """

    module: Recommendation

    def __init__(self, task: Recommendation, config: RecommendOptions) -> None:
        self.module, self.k, unseen = task, config.k, task.unseen
        if not len(unseen.user):
            raise UsageError("there is nothing to learn from: no user has an item and lacks another")
        self.size = config.batch_size or len(unseen.user)
        self.order = EpochOrder(len(unseen.user), self.size, config.seed) if config.draw == "pairs" else None
        self.metric = "missed" if task.parts["validation"].num_entries else None

    def batch(self, step: int, generator: torch.Generator) -> Batch | None:
        """The step's triples."""
        unseen = self.module.unseen
        if self.order is None:
            user, item = unseen.draw_pairs(self.size, generator)
        else:
            chosen = self.order.indices(step)
            user, item = unseen.user[chosen], unseen.item[chosen]
        return {"user": user, "item": item, "negative": unseen.draw(user, generator)}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own."""
        return self.module.parameter_groups(weight_decay)

    def validate(self) -> Mapping[str, float]:
        """Recall, what it misses, and NDCG on the validation pairs."""
        found = self.module.ranking("validation", self.k)
        return {"missed": 1 - found["recall"], **found} if found else {}


class RecommendRun(Run):
    """A trained recommender."""

    instead: ClassVar[str] = "recommend"

    module: Recommendation
    config: RecommendOptions
    data: RatingData

    @property
    def next_command(self) -> str:
        """Items for each user."""
        return f"recommend {self.folder} --out recommendations.csv"

    def recommend(self, users: Sequence[str] | None = None, k: int | None = None) -> list[list[tuple[str, float]]]:
        """The items that each user lacks with the highest scores.

        Args:
            users: their names; all who have training items if None.
            k: how many; the configuration's by default, or all items where there are fewer.

        Returns:
            For each user its items with their scores, best first; fewer than k where it lacks fewer.

        Raises:
            UsageError: a user that was not there in training, or had no item there; or k below 1 or above the number of items.
        """
        asked = numbers_of(
            self._known() if users is None else users,
            self.data.users,
            "user",
            self.data.name,
            "users who were",
            "Add their items to the ratings and train anew",
        )
        device, chosen = self.module.adjacency.device, torch.tensor(asked).long()
        self._refuse_untrained(chosen)
        k = min(self.config.k, self.data.num_items) if k is None else k
        if not 1 <= k <= self.data.num_items:
            raise UsageError(f"k = {k}: there are {self.data.num_items} items, so it goes from 1 to that")
        items, scores = self.module.recommend(chosen.to(device), k, tuple(self.module.parts))
        return [
            [(self.data.items[item], score) for item, score in zip(row, of_row) if score > -torch.inf]
            for row, of_row in zip(items.tolist(), scores.tolist())
        ]

    def write_recommendations(self, path: Path, users: Sequence[str] | None = None, k: int | None = None) -> int:
        """Write a table with a row a recommendation: user, rank from 1, item, score.

        Args:
            path: of the .csv file.
            users: as `recommend`.
            k: as `recommend`.

        Returns:
            The number of rows.
        """
        rows = [
            [user, rank, item, f"{score:.4f}"]
            for user, items in zip(self._known() if users is None else users, self.recommend(users, k))
            for rank, (item, score) in enumerate(items, 1)
        ]
        return write_rows(path, ["user", "rank", "item", "score"], rows)

    def _known(self) -> list[str]:
        """The users who have training items."""
        untrained = set(self.data.untrained.tolist())
        return [name for number, name in enumerate(self.data.users) if number not in untrained]

    def _refuse_untrained(self, users: Tensor) -> None:
        wrong = users[torch.isin(users, self.data.untrained)]
        if len(wrong):
            raise UsageError(
                f"user{'s' * (len(wrong) > 1)} {self._named(wrong)}: no item in training, so nothing is known of their taste; "
                f"add items to {self.data.name} (in the split 'train', if it has splits; with a rating of at least `least`, if that was given) and train anew"
            )

    def _named(self, users: Tensor) -> str:
        names = [repr(self.data.users[user]) for user in users[:_NAMED].tolist()]
        return ", ".join(names) + (f" and {len(users) - _NAMED} more" if len(users) > _NAMED else "")

    @property
    def remarks(self) -> tuple[str, ...]:
        """Who is left out."""
        untrained = self.data.untrained
        if not len(untrained):
            return ()
        return (
            f"{len(untrained)} of {self.data.num_users} users have no item in training, get no recommendations and are not measured: {self._named(untrained)}",
        )

    def picture(self, node: int | None = None) -> Figure:
        """What is recommended to a user, among all items.

        Args:
            node: number of the user in the order of names; None takes the one with the most items held out to test on.

        Raises:
            UsageError: there is no such user, or one without training items.
        """
        from renote.evaluate import draw_recommendations

        data, parts = self.data, {name: part.cpu() for name, part in self.data.parts.items()}
        if node is None:
            held = torch.bincount(parts["test"][:, 0], minlength=data.num_users)
            held[data.untrained] = -1
            node = int(held.argmax())
        if not 0 <= node < data.num_users:
            raise UsageError(f"node = {node}: it is a user, and those of {data.name} go from 0 to {data.num_users - 1}")
        self._refuse_untrained(torch.tensor([node]))
        user = torch.tensor([node], device=self.module.adjacency.device)
        before = tuple(name for name in parts if name != "test")
        (items,), (scores,) = self.module.recommend(user, self.config.k, before)
        of = {name: part[part[:, 0] == node, 1] for name, part in parts.items()}
        title = f"{self.system.name} on {data.name}: items for {data.users[node]}"
        vectors = self.module.vectors()[1]
        return draw_recommendations(
            vectors, of["train"], items[scores > -torch.inf].cpu(), of["test"], data.items, title
        )

    def evaluate(self) -> dict[str, Any]:
        """Recall and NDCG at k on the validation and the test pairs of users who have training items; `remarks` tells of the others."""
        vectors, k = self.module.vectors(), self.config.k
        return {
            f"{part}_{name}@{k}": value
            for part in ("validation", "test")
            for name, value in self.module.ranking(part, k, vectors).items()
        }
