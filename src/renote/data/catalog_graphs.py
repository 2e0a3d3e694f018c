"""The sets of whole graphs that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File

_ENZYMES_ATTRIBUTES = File(
    "ENZYMES_TU.zip",
    "305a8fc3b12f79fb844ef3374d6a3c8ceeb4887dd4f86bbfe37932c4c5434e7b",
    "https://www.chrsmrrs.com/graphkerneldatasets/ENZYMES.zip",
    members=("ENZYMES/ENZYMES_node_attributes.txt",),
)


def _tu(
    name: str, title: str, official: str, size: int, classes: tuple[str, ...], source: str, checksum: str, tags: int
) -> Card:
    address = f"https://raw.githubusercontent.com/yeweiysh/IHGNN/master/data/{official}.zip"
    files: tuple[File, ...] = (File(f"{official}.zip", checksum, address),)
    if official == "ENZYMES":
        files += (_ENZYMES_ATTRIBUTES,)
    return Card(
        name=name,
        title=title,
        kind="graphs",
        size=size,
        shape=(tags,),
        classes=classes,
        source=f"{source}; TU collection, Morris et al. (2020); folds of the repository yeweiysh/IHGNN",
        licence="MIT (repository yeweiysh/IHGNN)",
        files=files,
        folder="tu",
        counts={"folds": 10},
    )


GRAPHS = (
    _tu(
        "mutag",
        "Nitro compounds; does it cause mutations in Salmonella?",
        "MUTAG",
        188,
        ("no", "yes"),
        "Debnath et al. (1991)",
        "545905a7f0782cba6d3f96cb40af67c90e54f26932341999103e1eb94bbbee52",
        7,
    ),
    _tu(
        "ptc",
        "Compounds; do they cause cancer in male rats?",
        "PTC_MR",
        344,
        ("no", "yes"),
        "Helma et al. (2001), Predictive Toxicology Challenge",
        "a0fabac87ee94a6c4782837c4316d7c9c93b983b891736e88220cc90bf12a342",
        18,
    ),
    _tu(
        "proteins",
        "Proteins as graphs of helices, sheets and turns; enzyme or not",
        "PROTEINS",
        1_113,
        ("enzyme", "not an enzyme"),
        "Dobson, Doig (2003); Borgwardt et al. (2005)",
        "d28f022559a1fe3f3c0cfd49c96a68a8cb8a1d1e31d5506fb7d93e438eab6f52",
        3,
    ),
    _tu(
        "enzymes",
        "Enzymes as graphs of helices, sheets and turns, with 18 measured attributes; which of the six top classes",
        "ENZYMES",
        600,
        tuple(f"EC {k}" for k in range(1, 7)),
        "Borgwardt et al. (2005), from BRENDA",
        "158c4149a28346ea83b420eb7275b93f94e122b08243199cdd42418725c91dbf",
        21,
    ),
    _tu(
        "nci1",
        "Compounds; do they hold back the growth of lung cancer cells?",
        "NCI1",
        4_110,
        ("no", "yes"),
        "Wale, Watson, Karypis (2008)",
        "8cd032542f59df715c5983b05bb2b5396ab501c3b41d4ecbd941b88dc40c8c59",
        37,
    ),
    _tu(
        "dd",
        "Proteins as graphs of amino acids; enzyme or not",
        "DD",
        1_178,
        ("enzyme", "not an enzyme"),
        "Dobson, Doig (2003)",
        "0ce3eca1f096ce77ff6fb2287b2b45d0d6991ca1f15734fc873a1003ac79c34d",
        82,
    ),
    _tu(
        "imdb-binary",
        "Who played with whom around an actor; action or romance",
        "IMDBBINARY",
        1_000,
        ("action", "romance"),
        "Yanardag, Vishwanathan (2015)",
        "0424af4414007a76bd0d7d9f8e7ba845f595745d142894cf42b505b30f5ff7d8",
        136,
    ),
)
