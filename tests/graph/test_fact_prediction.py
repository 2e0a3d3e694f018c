"""Facts: scores, loss, ranks and answers against loops over all entities; edges with some left out; the encoder written densely."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph import FactPrediction, Known, RelationalEncoder, TypedEdges
from renote.graph.task import fact as task

ENTITIES, RELATIONS = 5, 2
one_fact = st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1))
some_facts = st.lists(one_fact, min_size=2, max_size=14, unique=True)
Fact = tuple[int, int, int]


def predictor(facts: list[Fact], tested: int = 0, features: int = 3, **options: Any) -> FactPrediction:
    torch.manual_seed(0)
    table = torch.tensor(facts, dtype=torch.long).view(-1, 3)
    parts = {"train": table[tested:], "validation": table[:0], "test": table[:tested]}
    network = RelationalEncoder(ENTITIES, 2 * RELATIONS, features, layers=options.pop("layers", 0))
    model = FactPrediction(network, ENTITIES, RELATIONS, parts, features, **options).double()
    with torch.no_grad():  # halves, so that some scores are equal
        for parameter in model.parameters():
            parameter.copy_((torch.randn(parameter.shape) * 2).round() / 2)
    return model


def score(model: FactPrediction, head: int, relation: int, tail: int) -> float:
    vectors = model.vectors()
    return float((vectors[head] * model.relation[relation] * vectors[tail]).sum().detach())


@given(some_facts, st.booleans())
def test_ranks_are_those_of_a_loop(facts: list[Fact], filtered: bool) -> None:
    model = predictor(facts, tested=len(facts) // 2)
    known = set(facts)
    expected = []
    for head, relation, tail in facts[: len(facts) // 2]:
        row = []
        for right, others in (
            (tail, [(e, (head, relation, e)) for e in range(ENTITIES)]),
            (head, [(e, (e, relation, tail)) for e in range(ENTITIES)]),
        ):
            own = score(model, head, relation, tail)
            rivals = [score(model, *asked) for e, asked in others if e != right and not (filtered and asked in known)]
            row.append(1 + sum(s > own for s in rivals) + sum(s == own for s in rivals) / 2)
        expected.append(row)
    found = model.ranks(model.parts["test"], filtered=filtered)
    assert found.tolist() == expected
    measures = model.ranking("test", filtered=filtered)
    if expected:
        flat = [rank for row in expected for rank in row]
        assert measures["mrr"] == pytest.approx(sum(1 / rank for rank in flat) / len(flat))
        assert measures["hits@3"] == pytest.approx(sum(rank <= 3 for rank in flat) / len(flat))
    else:
        assert measures == {}


@given(some_facts, st.integers(1, 7))
def test_answers_are_the_best_that_are_not_known(facts: list[Fact], k: int) -> None:
    model, known = predictor(facts), set(facts)
    for tails in (True, False):
        given, relation = torch.arange(ENTITIES).repeat(RELATIONS), torch.arange(RELATIONS).repeat_interleave(ENTITIES)
        found, scores = model.answers(given, relation, tails, k)
        assert found.shape == (ENTITIES * RELATIONS, min(k, ENTITIES))
        for one, kind, row, of_row in zip(given.tolist(), relation.tolist(), found.tolist(), scores.tolist()):
            facts_of = {e: (one, kind, e) if tails else (e, kind, one) for e in range(ENTITIES)}
            expected = sorted((score(model, *f) for f in facts_of.values() if f not in known), reverse=True)
            there = [value for value in of_row if value > -math.inf]
            assert there == pytest.approx(expected[: len(of_row)])
            assert not known & {facts_of[e] for e in row[: len(there)]}


@given(some_facts, st.integers(1, 30), st.integers(1, 8))
def test_missing_facts_are_the_best_of_all(facts: list[Fact], k: int, rows: int) -> None:
    model, known = predictor(facts), set(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_BLOCK_SCORES", rows * ENTITIES)
        found, scores = model.missing(k)
    expected = sorted(
        (
            score(model, head, relation, tail)
            for relation in range(RELATIONS)
            for head in range(ENTITIES)
            for tail in range(ENTITIES)
            if head != tail
            and (head, relation, tail) not in known
            and any(r == relation and (h == head or t == tail) for h, r, t in facts)
        ),
        reverse=True,
    )
    assert scores.tolist() == pytest.approx(expected[:k])
    assert len({tuple(row) for row in found.tolist()} - known) == len(found)
    assert [score(model, *row) for row in found.tolist()] == pytest.approx(scores.tolist())


@given(some_facts, st.integers(0, ENTITIES - 1), st.integers(1, 30), st.integers(1, 2))
def test_missing_facts_about_an_entity_are_the_best_of_all(facts: list[Fact], entity: int, k: int, rows: int) -> None:
    model, known = predictor(facts), set(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_BLOCK_SCORES", rows * ENTITIES)
        found, scores = model.missing_about(entity, k)
    every, of_every = model.missing(10_000)
    about = ((every[:, 0] == entity) | (every[:, 2] == entity)).nonzero().squeeze(1)
    assert scores.tolist() == pytest.approx(of_every[about].tolist()[:k])
    rows_found = [tuple(row) for row in found.tolist()]
    assert set(rows_found) <= {tuple(row) for row in every[about].tolist()} - known
    assert len(set(rows_found)) == len(rows_found)
    assert [score(model, *row) for row in rows_found] == pytest.approx(scores.tolist())


@pytest.mark.parametrize("few", [0, 100])
def test_the_loss_is_its_formula(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "_FEW", few)
    facts = [(0, 0, 1), (1, 1, 2), (3, 0, 4)]
    model = predictor(facts, penalty=0.3)
    batch = {
        "fact": torch.tensor([2, 0]),
        "other": torch.tensor([[1, 0, 3], [2, 2, 0]]),
        "tail": torch.tensor([[True, False, True], [False, True, False]]),
    }
    vectors, total, size = model.vectors(), 0.0, torch.zeros((), dtype=torch.float64)
    for row, number in enumerate(batch["fact"].tolist()):
        head, relation, tail = facts[number]
        total += math.log1p(math.exp(-score(model, head, relation, tail)))
        for other, of_tail in zip(batch["other"][row].tolist(), batch["tail"][row].tolist()):
            false = (head, relation, other) if of_tail else (other, relation, tail)
            total += math.log1p(math.exp(score(model, *false)))
        size += sum(part.square().mean() for part in (vectors[head], model.relation[relation], vectors[tail]))
    loss = model(batch)
    assert float(loss) == pytest.approx(total / 8 + 0.3 * float(size) / 2)
    loss.backward()
    assert float(model.relation.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_scores_are_the_peers() -> None:
    facts = [(0, 0, 1), (1, 1, 2), (3, 0, 4), (2, 1, 2)]
    model = predictor(facts, features=6).float()
    peer = pytest.importorskip("torch_geometric.nn").DistMult(ENTITIES, RELATIONS, 6)
    with torch.no_grad():
        peer.node_emb.weight.copy_(model.network.vector)  # type: ignore[arg-type]
        peer.rel_emb.weight.copy_(model.relation)
    head, relation, tail = torch.tensor(facts).unbind(1)
    all_scores = model._scores(model.vectors(), head, relation, True, filtered=False)
    torch.testing.assert_close(all_scores.gather(1, tail[:, None]).squeeze(1), peer(head, relation, tail))
    # head and tail play the same part
    turned = model._scores(model.vectors(), tail, relation, False, filtered=False)
    torch.testing.assert_close(turned.gather(1, head[:, None]), all_scores.gather(1, tail[:, None]))


@given(
    edges=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=25),
    across=st.booleans(),
)
def test_thinned_edges_are_those_of_the_rest(edges: list[tuple[int, int, int, bool]], across: bool) -> None:
    columns = [torch.tensor([edge[k] for edge in edges], dtype=torch.long) for k in range(3)]
    keep = torch.tensor([edge[3] for edge in edges], dtype=torch.bool)
    thin = TypedEdges.from_edges(*columns, 5, 3, across=across).thinned(keep)
    rest = TypedEdges.from_edges(*(column[keep] for column in columns), 5, 3, across=across)

    def dense(typed: TypedEdges) -> Tensor:
        out = torch.zeros(5, 3, 5, dtype=torch.float64)
        column = typed.pattern.column.long()
        place = typed.pattern.row.long(), typed.relation[column], typed.sender[column]
        return out.index_put(place, typed.values, accumulate=True)

    torch.testing.assert_close(dense(thin), dense(rest))
    total = dense(thin).sum((1, 2)) if across else dense(thin).sum(2)
    assert ((total - 1).abs() < 1e-12).logical_or(total == 0).all()


def test_the_encoder_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    source, relation, target = (torch.randint(n, (12,), generator=generator) for n in (5, 4, 5))
    edges = TypedEdges.from_edges(source, relation, target, 5, 4, across=True)
    for how in ({"blocks": 2}, {"bases": 3}, {}):
        encoder = RelationalEncoder(5, 4, 6, 2, **how).double()  # type: ignore[arg-type]
        h = encoder.vector
        for number, (convolution, own) in enumerate(zip(encoder.convolutions, encoder.own)):
            matrices = convolution.matrices()  # type: ignore[operator]
            if "blocks" in how:
                matrices = torch.stack([torch.block_diag(*of.unbind()) for of in matrices])
            out = h @ own.weight.T + convolution.bias  # type: ignore[operator]
            for node in range(5):
                into = (target == node).nonzero().squeeze(1).tolist()
                for edge in into:
                    out = out.index_add(
                        0, torch.tensor([node]), (h[source[edge]] @ matrices[relation[edge]] / len(into))[None]
                    )
            h = out.relu() if number == 0 else out
        torch.testing.assert_close(encoder(edges), h)


def test_a_step_does_not_see_what_it_hides() -> None:
    facts = [(0, 0, 1), (1, 1, 2), (3, 0, 4), (2, 1, 0)]
    hiding = predictor(facts, layers=1, hide=True)
    seen = hiding.train()._seen(torch.tensor([1]))
    there = {tuple(pair) for pair in torch.stack([seen.pattern.row[seen.values > 0]]).T.tolist()}
    assert there == {(1,), (0,), (4,), (3,), (2,)}  # 2 by its other fact
    rest = TypedEdges.from_edges(
        *(torch.tensor([f[k] for f in facts if f != (1, 1, 2)]) for k in range(3)), ENTITIES, 2 * RELATIONS
    )
    assert int((seen.values > 0).sum()) == 2 * len(rest.values)
    assert hiding.eval()._seen(torch.tensor([1])) is hiding.edges
    dropping = predictor(facts * 1, layers=1, edge_dropout=0.5).train()
    torch.manual_seed(3)
    kept = {int((dropping._seen(torch.tensor([0])).values > 0).sum()) for _ in range(30)}
    assert kept <= {0, 2, 4, 6, 8}  # a fact and its inverse go together
    assert len(kept) > 2


def test_what_was_never_asked_has_no_known_answer() -> None:
    known = Known(torch.tensor([[0, 1, 2], [0, 1, 3], [4, 0, 2]]), 5, 2)
    row, entity = known.of(torch.tensor([0, 3, 4, 0]), torch.tensor([1, 1, 0, 0]), tails=True)
    assert list(zip(row.tolist(), entity.tolist())) == [(0, 2), (0, 3), (2, 2)]
    row, entity = known.of(torch.tensor([2, 2, 4]), torch.tensor([1, 0, 0]), tails=False)
    assert list(zip(row.tolist(), entity.tolist())) == [(0, 0), (1, 4)]
    nothing = Known(torch.zeros(0, 3, dtype=torch.long), 5, 2)
    assert not len(nothing.of(torch.tensor([1]), torch.tensor([0]), tails=True)[0])


def test_what_cannot_be_is_refused() -> None:
    network = RelationalEncoder(5, 4, 3, 0)
    with pytest.raises(DataError, match="no part named 'train'"):
        FactPrediction(network, 5, 2, {"test": torch.zeros(0, 3, dtype=torch.long)}, 3)
    with pytest.raises(UsageError, match="part"):
        predictor([(0, 0, 1), (1, 0, 2)]).ranking("held")
