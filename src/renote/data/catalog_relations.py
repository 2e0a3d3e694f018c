"""The graphs of several relations that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File

_TABLES = "https://raw.githubusercontent.com/tkipf/relational-gcn/master/rgcn/data/"


def _rdf(
    name: str,
    title: str,
    size: int,
    classes: tuple[str, ...],
    statements: File,
    folder: str,
    train: str,
    test: str,
    counts: dict[str, int],
) -> Card:
    return Card(
        name=name,
        title=title,
        kind="nodes",
        size=size,
        shape=(0,),
        classes=classes,
        source="Ristoski, de Vries, Paulheim (2016); the relation that tells the class is left out",
        licence="none stated; research",
        files=(
            statements,
            File("trainingSet.tsv", train, f"{_TABLES}{folder.removeprefix('rdf-')}/trainingSet.tsv"),
            File("testSet.tsv", test, f"{_TABLES}{folder.removeprefix('rdf-')}/testSet.tsv"),
        ),
        folder=folder,
        counts=counts,
    )


RELATIONS = (
    _rdf(
        "aifb",
        "An institute's people, publications and projects; the groups of its people",
        8_285,
        ("1", "2", "3", "4"),
        File(
            "aifb_stripped.nt.gz",
            "dcb882bdebfb750f755b8b0e2dc9b9fc3912ce08b4589b76f7d0f15dad69b627",
            "https://raw.githubusercontent.com/pbloem/gated-rgcn/master/data/aifb/aifb_stripped.nt.gz",
        ),
        "rdf-aifb",
        "4960629668c6548215871321e4b6daaee24191f38f41ccfbc4de62016d18c5a7",
        "abe4a9e7c393164996d1fe7250d72ec1f1a7b350583f2dff5d880f60ec04b3b6",
        {"statements": 29_043, "relations": 45, "train": 140, "test": 36},
    ),
    _rdf(
        "mutag-rdf",
        "Molecules, their atoms and bonds as statements; which molecules cause mutations",
        23_644,
        ("0", "1"),
        File(
            "mutag_stripped.nt.gz",
            "48d2bb4a8a10a3f124f4e0351e572040f25441fb6eb9d7894d3e4ca16d31d586",
            "https://raw.githubusercontent.com/alexanderdesouza/latent-GCN/master/data/mutag/mutag_stripped.nt.gz",
        ),
        "rdf-mutag",
        "d2fe71b68bb25735465128b4aed50d9b165fa5ab92aa2e221fad3d1cd87b7297",
        "20e69309a037cbf0fb2b52be3eaa6c43888215cbc0b96e8f8bd9e2af55652a3f",
        {"statements": 74_227, "relations": 23, "train": 272, "test": 68},
    ),
)
