"""Recommendation: which item will a user take next? Learned from pairs alone, and measured on the ranking of all items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, unknown
from renote.graph.adjacency import Adjacency
from renote.graph.pattern import Pattern
from renote.graph.recommender import bipartite
from renote.graph.task.node import groups_of
from renote.nets.evaluation import evaluation

_BLOCK_SCORES = 8_000_000
"""Scores that are in memory at once."""


class Unseen:
    """Draws of items that a user has not.

    Args:
        taken: users × items, sorted, each pair once.

    Attributes:
        user: (n,) of the pairs whose user lacks some item.
        item: (n,) of those.
        users: (m,) those users.
    """

    def __init__(self, taken: Pattern) -> None:
        self._count, self._first, self._items = taken.count.long(), taken.rowptr.long(), taken.num_columns
        row, column = taken.row.long(), taken.column.long()
        place = torch.arange(taken.num_entries) - self._first.index_select(0, row)
        self._before = row * self._items + column - place
        lacking = self._count.index_select(0, row) < self._items
        self.user, self.item = row[lacking], column[lacking]
        self.users = ((self._count > 0) & (self._count < self._items)).nonzero().squeeze(1)
        self._column = column

    def draw_pairs(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(count,) users, of those with some items and not all, all equally likely; and for each one of its items."""
        user = self.users[torch.randint(len(self.users), (count,), generator=generator)]
        drawn = torch.rand(count, generator=generator, dtype=torch.float64) * self._count.index_select(0, user)
        place = torch.minimum(drawn.long(), self._count.index_select(0, user) - 1)
        return user, self._column.index_select(0, self._first.index_select(0, user) + place)

    def draw(self, user: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) for each user an item that it has not, all of those equally likely.

        The r-th missing item is r + k, where k of the user's sorted items i_0, i_1, … have i_m - m <= r: one search for all, and nothing is drawn twice.

        Args:
            user: (n,) int64, none of which has all items.
            generator: of the draw.
        """
        missing = self._items - self._count.index_select(0, user)
        drawn = torch.rand(len(user), generator=generator, dtype=torch.float64)
        number = torch.minimum((drawn * missing).long(), missing - 1)
        found = torch.searchsorted(self._before, user * self._items + number, right=True)
        return number + found - self._first.index_select(0, user)


class Recommendation(nn.Module):
    """Bayesian personalized ranking: a user's items before all others, by scores s_ui = e_u · e_i.

        L = - 1/B Σ_(u,i,j) ln σ(s_ui - s_uj) + λ/(2B) Σ (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²)

    The pairs follow the module to a device; they are not part of its state.

    Args:
        network: `network(adjacency)` gives a vector (nodes, features) for each user, then each item; its parameter `vector` are the e⁰.
        num_users: number of users.
        num_items: number of items.
        parts: name → (pairs, 2) user and item; edges are those of `"train"`.
        decay: λ.
        edges: what the network reads in the place of the pairs, users and items as nodes; None for the pairs of `"train"`.

    Attributes:
        unseen: draws of items that a user has not; it stays on the CPU.

    Source:
        Rendle et al. (2009), "BPR: Bayesian personalized ranking from implicit feedback"; He et al. (2020), eq. 15.
    """

    def __init__(
        self,
        network: nn.Module,
        num_users: int,
        num_items: int,
        parts: Mapping[str, Tensor],
        decay: float = 1e-4,
        edges: Callable[[Adjacency], Adjacency] | None = None,
    ) -> None:
        super().__init__()
        if "train" not in parts:
            raise DataError(f"no part named 'train' among {sorted(parts)}")
        self.network, self.num_users, self.num_items, self.decay = network, num_users, num_items, decay
        self.parts = {name: _taken(part, num_users, num_items) for name, part in parts.items()}
        train = self.parts["train"]
        adjacency = bipartite(train.row.long(), train.column.long(), num_users, num_items)
        self.adjacency = adjacency if edges is None else edges(adjacency)
        self.unseen = Unseen(train)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of triples `{"user", "item", "negative"}`, (n,) each."""
        vectors = self.network(self.adjacency)
        nodes = torch.cat([batch["user"], batch["item"] + self.num_users, batch["negative"] + self.num_users])
        user, item, negative = vectors.index_select(0, nodes).tensor_split(3)  # one gradient of all nodes, not three
        loss = functional.softplus((user * (negative - item)).sum(1)).mean()
        if self.decay:
            first = self.network.vector.index_select(0, nodes)  # type: ignore[operator]
            loss = loss + self.decay / (2 * len(user)) * first.square().sum()
        return loss

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Those of the users and of the items, without dropout."""
        with evaluation(self.network):
            found: Tensor = self.network(self.adjacency)
        return found[: self.num_users], found[self.num_users :]

    def recommend(
        self, users: Tensor, k: int, without: tuple[str, ...] = ("train",), vectors: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The k items of the highest score for each user, a block of users at a time.

        Args:
            users: (n,) int64.
            k: at most the number of items.
            without: parts whose items are left out.
            vectors: of users and items, if they are there.

        Returns:
            (n, k) items, best first, and their scores; the score is -inf where a user has fewer than k items left.
        """
        of_user, of_item = vectors or self.vectors()
        k, rows = min(k, self.num_items), max(1, _BLOCK_SCORES // max(1, self.num_items))
        items, scores = [], []
        for block in torch.split(users, rows):
            score = of_user.index_select(0, block) @ of_item.t()
            for name in without:
                had = self.parts[name].select(block)[0]
                score[had.row.long(), had.column.long()] = -torch.inf
            best = score.topk(k, dim=1)
            items.append(best.indices)
            scores.append(best.values)
        nothing = of_user.new_zeros(0, k)
        return torch.cat([nothing.long(), *items]), torch.cat([nothing, *scores])

    def ranking(self, part: str, k: int = 20, vectors: tuple[Tensor, Tensor] | None = None) -> dict[str, float]:
        """Recall and NDCG at k, mean over the users who have items in a part and to train on, among all items but those of the parts before.

            recall = hits / |T_u|,  NDCG = Σ_(r: hit) 1/log₂(r + 1) / Σ_(r = 1)^(min(k, |T_u|)) 1/log₂(r + 1)

        Args:
            part: its name.
            k: length of the list.
            vectors: of users and items, if they are there.

        Returns:
            `{"recall", "ndcg"}`; empty if there is no such user.
        """
        if part not in self.parts:
            raise unknown("part", part, self.parts)
        wanted = self.parts[part]
        users = ((wanted.count > 0) & (self.parts["train"].count > 0)).nonzero().squeeze(1)
        if not len(users):
            return {}
        before = tuple(self.parts)[: tuple(self.parts).index(part)]
        items, scores = self.recommend(users, k, before, vectors)
        key = wanted.row.long() * self.num_items + wanted.column.long()
        asked = users[:, None] * self.num_items + items
        place = torch.searchsorted(key, asked).clamp(max=len(key) - 1)
        hit = ((key[place] == asked) & (scores > -torch.inf)).double()
        count = wanted.count.index_select(0, users).long()
        gain = torch.arange(2, items.shape[1] + 2, device=hit.device).double().log2().reciprocal()
        ideal = gain.cumsum(0)[count.clamp(max=items.shape[1]) - 1]
        return {"recall": float((hit.sum(1) / count).mean()), "ndcg": float((hit @ gain / ideal).mean())}

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike."""
        return groups_of(self.network, weight_decay)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Recommendation:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.parts = {name: part.map(fn) for name, part in self.parts.items()}
        self.adjacency = self.adjacency.map(fn)
        return self


def _taken(pairs: Tensor, users: int, items: int) -> Pattern:
    """Users × items, sorted."""
    return Pattern.from_pairs(pairs[:, 0], pairs[:, 1], users, items)[0]
