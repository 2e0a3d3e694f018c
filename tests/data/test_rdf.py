import os

import pytest

from renote import data
from renote.data.rdf import triples
from renote.errors import DataError

mirrored = pytest.mark.skipif(not os.environ.get("RENOTE_MIRROR"), reason="needs the files of RENOTE_MIRROR")


def test_lines_are_statements_with_literals_as_they_stand():
    found = triples('# a comment\n\n<a> <p> <b> .\n_:c <q> "two words . and a stop"@en .\n', "x.nt")
    assert found == [("<a>", "<p>", "<b>"), ("_:c", "<q>", '"two words . and a stop"@en')]


def test_a_line_that_is_no_statement_is_told_by_its_number():
    with pytest.raises(DataError, match=r"x\.nt, line 2"):
        triples("<a> <p> <b> .\n<a> <p>\n", "x.nt")


@mirrored
@pytest.mark.parametrize(("name", "nodes", "statements", "relations"), [("aifb", 8285, 29_043, 45)])
def test_statements_are_edges_both_ways(name, nodes, statements, relations):
    loaded = data.load(name)
    graph = loaded.graph
    assert (graph.num_nodes, graph.num_edges, graph.num_relations) == (nodes, 2 * statements, 2 * relations)
    forward = graph.relation < relations
    source, target = graph.adjacency.source.long(), graph.adjacency.target.long()
    along = {*zip(source[forward].tolist(), target[forward].tolist(), graph.relation[forward].tolist())}
    against = {
        *zip(target[~forward].tolist(), source[~forward].tolist(), (graph.relation[~forward] - relations).tolist())
    }
    assert along == against
    assert [len(part) for part in loaded.splits.values()] == [140, 0, 36]
    held = data.load(name, validation=0.2)
    assert [len(part) for part in held.splits.values()] == [112, 28, 36]
    assert {*held.train.tolist(), *held.validation.tolist()} == {*loaded.train.tolist()}
    known = loaded.labels[loaded.labels >= 0]
    assert sorted(known.bincount().tolist()) == [15, 28, 60, 73]
