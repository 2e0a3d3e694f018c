"""The knowledge graphs that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File


def _facts(
    name: str,
    title: str,
    source: str,
    licence: str,
    file: str,
    sha256: str,
    folder: str,
    entities: int,
    relations: int,
    parts: tuple[int, int, int],
    untrained: int = 0,
) -> Card:
    return Card(
        name=name,
        title=title,
        kind="facts",
        size=sum(parts),
        shape=(entities, relations),
        classes=(),
        source=source,
        licence=licence,
        files=(File(file, sha256, f"https://raw.githubusercontent.com/TimDettmers/ConvE/master/{file}"),),
        folder=folder,
        counts={**dict(zip(("train", "validation", "test"), parts, strict=True)), "untrained": untrained},
    )


FACTS = (
    _facts(
        "umls",
        "Kinds of medical things and how they bear on one another",
        "McCray (2003); Kok, Domingos (2007)",
        "MIT (repository)",
        "umls.tar.gz",
        "c6c6c37ed0551cf0ce7fa0c5b4cda65597fb741f9da6d1c1d96ca1c5652a0e30",
        "kg-small",
        135,
        46,
        (5_216, 652, 661),
    ),
    _facts(
        "kinship",
        "Terms of kinship among the Alyawarra",
        "Denham (1973); Kemp et al. (2006)",
        "MIT (repository)",
        "kinship.tar.gz",
        "1764a7b6dd990fe872f7f5c1fb82f1bbf0f832a6fe07d6b37ed45f25e31af46f",
        "kg-small",
        104,
        25,
        (8_544, 1_068, 1_074),
    ),
    _facts(
        "wn18rr",
        "English words' senses and how they are related, without pairs of inverse relations",
        "Miller (1995); Dettmers et al. (2018)",
        "WordNet licence",
        "WN18RR.tar.gz",
        "2fdf6896e29b6de4dd17f93784900d7922372c872872838897be7067c5aa845e",
        "wn18rr",
        40_943,
        11,
        (86_835, 3_034, 3_134),
        384,
    ),
    _facts(
        "fb15k-237",
        "Facts of Freebase, without pairs of inverse relations",
        "Bollacker et al. (2008); Toutanova, Chen (2015)",
        "CC BY",
        "FB15k-237.tar.gz",
        "c4fec94f87b7e0395c2d34960f29cd04cae592fd12308dd8b9d555af1c9c3b15",
        "fb15k-237",
        14_541,
        237,
        (272_115, 17_535, 20_466),
        36,
    ),
)
