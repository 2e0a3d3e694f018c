"""Missing facts of a knowledge graph: which entity is in a relation to another? Learned from facts alone, and measured on the ranking of all entities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from renote.errors import DataError, unknown
from renote.graph.pattern import Pattern
from renote.graph.task.node import groups_of
from renote.graph.typed import TypedEdges
from renote.nets.evaluation import evaluation

_BLOCK_SCORES = 8_000_000
"""Scores that are in memory at once."""
_FEW = 32
"""Entities for each drawn one up to which all are scored."""
HITS = (1, 3, 10)


class Known:
    """Which entities are known to answer a question (head, relation, ?) or (?, relation, tail).

    Args:
        facts: (n, 3) all that are known, of whatever part.
        num_entities: number of them.
        num_relations: number of them.
    """

    def __init__(self, facts: Tensor, num_entities: int, num_relations: int) -> None:
        self._relations = num_relations
        self._asked: list[Tensor] = []
        self._answers: list[Pattern] = []
        for given, answer in ((facts[:, 0], facts[:, 2]), (facts[:, 2], facts[:, 0])):
            question, row = torch.unique(given * num_relations + facts[:, 1], return_inverse=True)
            self._asked.append(question)
            self._answers.append(Pattern.from_pairs(row, answer, len(question), num_entities)[0])

    def of(self, given: Tensor, relation: Tensor, tails: bool) -> tuple[Tensor, Tensor]:
        """Number of the question and the entity of each known answer.

        Args:
            given: (n,) the entity that is given: heads if tails are asked for.
            relation: (n,).
            tails: whether tails are asked for, else heads.
        """
        asked, answers = self._asked[not tails], self._answers[not tails]
        question = given * self._relations + relation
        place = torch.searchsorted(asked, question).clamp(max=max(len(asked) - 1, 0))
        there = (asked[place] == question).nonzero().squeeze(1) if len(asked) else place[:0]
        found = answers.select(place[there])[0]
        return there[found.row.long()], found.column.long()

    def map(self, function: Callable[[Tensor], Tensor]) -> Known:
        """The same with each tensor passed through a function."""
        out = object.__new__(Known)
        out._relations = self._relations
        out._asked = [function(asked) for asked in self._asked]
        out._answers = [answers.map(function) for answers in self._answers]
        return out


class FactPrediction(nn.Module):
    """Facts before others, by DistMult's scores f(s, r, o) = Σ_i e_s,i w_r,i e_o,i.

        L = 1/((1 + ω) n) Σ_(s,r,o,y) [softplus(f) - y f] + λ (mean e_s² + mean w_r² + mean e_o²)

    over n facts (y = 1), and for each ω in which the head or the tail is another entity (y = 0). The facts follow the module to a device; they are not part of its state.

    Args:
        network: `network(edges)` gives the vectors (entities, features).
        num_entities: number of them.
        num_relations: number of them.
        parts: name → (facts, 3) head, relation and tail; edges are those of `"train"`, along it and against it as another relation.
        features: width of the vectors.
        penalty: λ.
        edge_dropout: probability with which a fact is not among the edges of a step.
        hide: whether a step's own facts are not among its edges, so that vectors tell them from others.

    Source:
        Yang et al. (2015), "Embedding entities and relations for learning and inference in knowledge bases"; Schlichtkrull et al. (2018), eq. 6 and 7, and
        c_i = Σ_r |N_r(i)| as in their section 5.2.
    """

    def __init__(
        self,
        network: nn.Module,
        num_entities: int,
        num_relations: int,
        parts: Mapping[str, Tensor],
        features: int,
        penalty: float = 0.01,
        edge_dropout: float = 0.0,
        hide: bool = False,
    ) -> None:
        super().__init__()
        if "train" not in parts:
            raise DataError(f"no part named 'train' among {sorted(parts)}")
        self.network, self.num_entities, self.num_relations = network, num_entities, num_relations
        self.penalty, self.edge_dropout, self.hide = penalty, edge_dropout, hide
        self.parts = dict(parts)
        self.relation = nn.Parameter(torch.empty(num_relations, features))
        nn.init.xavier_uniform_(self.relation)
        head, kind, tail = self.parts["train"].unbind(1)
        self.edges = TypedEdges.from_edges(
            torch.cat([head, tail]),
            torch.cat([kind, kind + num_relations]),
            torch.cat([tail, head]),
            num_entities,
            2 * num_relations,
            across=True,
        )
        self.known = Known(torch.cat(list(self.parts.values())), num_entities, num_relations)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of `{"fact", "other", "tail"}`: (n,) numbers of training facts, (n, ω) entities in the place of one of theirs, and whether of the tail."""
        head, kind, tail = self.parts["train"].index_select(0, batch["fact"]).unbind(1)
        vectors, other = self.network(self._seen(batch["fact"])), batch["other"]
        of_kind, ends = self.relation.index_select(0, kind), torch.cat([head, tail])
        if self.num_entities <= _FEW * other.shape[1]:
            # of few entities all scores are sooner made than rows gathered
            of_head, of_tail = torch.split(vectors.index_select(0, ends), len(head))
            as_tail, as_head = (((end * of_kind) @ vectors.t()).gather(1, other) for end in (of_head, of_tail))
        else:
            rows = vectors.index_select(0, torch.cat([ends, other.flatten()]))  # one gradient of all entities
            of_head, of_tail, of_other = torch.split(rows, [len(head), len(tail), other.numel()])
            of_other = of_other.view(*other.shape, -1)
            as_tail, as_head = (
                torch.bmm(of_other, (end * of_kind)[:, :, None]).squeeze(2) for end in (of_head, of_tail)
            )
        true = (of_head * of_kind * of_tail).sum(1)
        false = torch.where(batch["tail"], as_tail, as_head)
        loss = (functional.softplus(-true).sum() + functional.softplus(false).sum()) / (true.numel() + false.numel())
        size = of_head.square().mean() + of_kind.square().mean() + of_tail.square().mean()
        regularized: Tensor = loss + self.penalty * size
        return regularized

    def vectors(self) -> Tensor:
        """(entities, features), of all training facts and without dropout."""
        with evaluation(self.network):
            found: Tensor = self.network(self.edges)
        return found

    @torch.no_grad()
    def answers(
        self, given: Tensor, relation: Tensor, tails: bool, k: int, vectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The k entities of the highest score that are not known to answer (given, relation, ?), or (?, relation, given).

        Args:
            given: (n,) entities.
            relation: (n,).
            tails: whether tails are asked for, else heads.
            k: at most the number of entities.
            vectors: of the entities, if they are there.

        Returns:
            (n, k) entities, best first, and their scores; -inf where fewer than k are left.
        """
        vectors = self.vectors() if vectors is None else vectors
        found = [
            self._scores(vectors, block, kind, tails).topk(min(k, self.num_entities), dim=1)
            for block, kind in zip(torch.split(given, self._rows), torch.split(relation, self._rows))
        ]
        nothing = vectors.new_zeros(0, min(k, self.num_entities))
        return (
            torch.cat([nothing.long(), *(best.indices for best in found)]),
            torch.cat([nothing, *(best.values for best in found)]),
        )

    @torch.no_grad()
    def ranks(self, facts: Tensor, vectors: Tensor | None = None, filtered: bool = True) -> Tensor:
        """(facts, 2) the place, from 1, of each fact's tail and head among all entities; of equal scores the mean place.

        Args:
            facts: (n, 3).
            vectors: of the entities, if they are there.
            filtered: whether other entities that are known to answer are left out.
        """
        vectors, columns = self.vectors() if vectors is None else vectors, []
        for tails in (True, False):
            given, answer = (facts[:, 0], facts[:, 2]) if tails else (facts[:, 2], facts[:, 0])
            found = []
            for of, kind, right in zip(*(torch.split(part, self._rows) for part in (given, facts[:, 1], answer))):
                score = self._scores(vectors, of, kind, tails, filtered, right)
                own = score.gather(1, right[:, None])
                found.append((score > own).sum(1) + ((score == own).sum(1) + 1) / 2)
            columns.append(torch.cat([vectors.new_zeros(0), *found]).double())
        return torch.stack(columns, 1)

    def ranking(self, part: str, vectors: Tensor | None = None, filtered: bool = True) -> dict[str, float]:
        """Mean reciprocal rank and the share of ranks up to 1, 3 and 10, over the heads and tails of a part.

        Args:
            part: its name.
            vectors: of the entities, if they are there.
            filtered: as `ranks`.

        Returns:
            `{"mrr", "hits@1", "hits@3", "hits@10"}`; empty if the part is.
        """
        if part not in self.parts:
            raise unknown("part", part, self.parts)
        if not len(self.parts[part]):
            return {}
        rank = self.ranks(self.parts[part], vectors, filtered).flatten()
        return {"mrr": float(rank.reciprocal().mean())} | {
            f"hits@{k}": float((rank <= k).double().mean()) for k in HITS
        }

    @torch.no_grad()
    def missing(self, k: int, vectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The k facts of the highest score that are not known, of pairs whose head or whose tail the relation has in some training fact; no entity with itself.

        Args:
            k: most facts.
            vectors: of the entities, if they are there.

        Returns:
            (n, 3) and their scores (n,), best first.
        """
        vectors, train = self.vectors() if vectors is None else vectors, self.parts["train"]
        best, score_of_best = train.new_zeros(0, 3), vectors.new_zeros(0)
        everyone = torch.arange(self.num_entities, device=train.device)
        for kind in range(self.num_relations):
            heads, tails = (torch.unique(train[train[:, 1] == kind, column]) for column in (0, 2))
            for some, ends in ((everyone, tails), (heads, everyone[~torch.isin(everyone, tails)])):
                for block in torch.split(some, max(1, _BLOCK_SCORES // max(1, len(ends)))):
                    score = self._scores_of_unknown(vectors, block, kind, ends).flatten()
                    top = score.topk(min(k, len(score)))
                    row, column = top.indices // max(1, len(ends)), top.indices % max(1, len(ends))
                    found = torch.stack([block[row], torch.full_like(row, kind), ends[column]], 1)
                    best, score_of_best = torch.cat([best, found]), torch.cat([score_of_best, top.values])
                    order = score_of_best.argsort(descending=True, stable=True)[:k]
                    best, score_of_best = best[order], score_of_best[order]
        there = score_of_best > -torch.inf
        return best[there], score_of_best[there]

    def _scores_of_unknown(self, vectors: Tensor, heads: Tensor, kind: int, tails: Tensor) -> Tensor:
        """(heads, tails), -inf for facts that are known and for those of an entity with itself."""
        score = (vectors.index_select(0, heads) * self.relation[kind]) @ vectors.index_select(0, tails).t()
        place = torch.full((self.num_entities,), -1, device=heads.device)
        place[tails] = torch.arange(len(tails), device=heads.device)
        row, entity = self.known.of(heads, torch.full_like(heads, kind), True)
        row = torch.cat([row, torch.arange(len(heads), device=heads.device)])
        column = place.index_select(0, torch.cat([entity, heads]))
        score[row[column >= 0], column[column >= 0]] = -torch.inf
        return score

    @torch.no_grad()
    def missing_about(self, entity: int, k: int, vectors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Those of `missing` that are about an entity, which are found sooner: the k of the highest score.

        Args:
            entity: its number.
            k: most facts.
            vectors: of the entities, if they are there.

        Returns:
            (n, 3) and their scores (n,), best first.
        """
        vectors = self.vectors() if vectors is None else vectors
        train, best, scores = self.parts["train"], [], []
        kinds = torch.arange(self.num_relations, device=train.device)
        for tails in (True, False):
            for block in torch.split(kinds, self._rows):
                score = self._scores(vectors, torch.full_like(block, entity), block, tails)
                of_block = train[(train[:, 1] >= block[0]) & (train[:, 1] <= block[-1])]
                elsewhere = torch.ones_like(score, dtype=torch.bool)
                elsewhere[of_block[:, 1] - block[0], of_block[:, 2 if tails else 0]] = False
                elsewhere[of_block[of_block[:, 0 if tails else 2] == entity, 1] - block[0]] = False
                score = score.masked_fill(elsewhere, -torch.inf)
                score[:, entity] = -torch.inf
                top = score.flatten().topk(min(k, score.numel()))
                kind, other = block[top.indices // self.num_entities], top.indices % self.num_entities
                own = torch.full_like(other, entity)
                best.append(torch.stack([own, kind, other] if tails else [other, kind, own], 1))
                scores.append(top.values)
        score = torch.cat(scores)
        order = score.argsort(descending=True, stable=True)[:k]
        order = order[score[order] > -torch.inf]
        return torch.cat(best)[order], score[order]

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The network's own groups if it has any, else all parameters alike; those of the relations with the last."""
        *rest, last = groups_of(self.network, weight_decay)
        return [*rest, {**last, "params": [*last["params"], self.relation]}]

    @property
    def _rows(self) -> int:
        return max(1, _BLOCK_SCORES // max(1, self.num_entities))

    def _seen(self, facts: Tensor) -> TypedEdges:
        """The edges of a step."""
        if not (self.hide or self.edge_dropout) or not self.training:
            return self.edges
        count = len(self.parts["train"])
        keep = torch.rand(count, device=facts.device) >= self.edge_dropout
        if self.hide:
            keep[facts] = False
        return self.edges.thinned(keep.repeat(2))

    def _scores(
        self,
        vectors: Tensor,
        given: Tensor,
        relation: Tensor,
        tails: bool,
        filtered: bool = True,
        right: Tensor | None = None,
    ) -> Tensor:
        """(n, entities), -inf for those that are known, but for the right one."""
        # heads and tails play the same part: DistMult's score is symmetric
        score = (vectors.index_select(0, given) * self.relation.index_select(0, relation)) @ vectors.t()
        if not filtered:
            return score
        own = None if right is None else score.gather(1, right[:, None])
        score[self.known.of(given, relation, tails)] = -torch.inf
        return score if own is None else score.scatter(1, right[:, None], own)  # type: ignore[index]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FactPrediction:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.parts = {name: fn(part) for name, part in self.parts.items()}
        self.edges, self.known = self.edges.map(fn), self.known.map(fn)
        return self
