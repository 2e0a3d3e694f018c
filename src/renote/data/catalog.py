"""The data sets that have a name: where they come from, and what they must be. Needs neither torch nor NumPy."""

from __future__ import annotations

from renote.data.card import Card, File
from renote.data.catalog_facts import FACTS
from renote.data.catalog_graphs import GRAPHS
from renote.data.catalog_links import LINKS
from renote.data.catalog_meshes import MESHES
from renote.data.catalog_molecules import MOLECULES
from renote.data.catalog_ratings import RATINGS
from renote.data.catalog_relations import RELATIONS

_PLANETOID = {
    "ind.cora.x": "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    "ind.cora.tx": "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    "ind.cora.allx": "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    "ind.cora.y": "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    "ind.cora.ty": "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    "ind.cora.ally": "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    "ind.cora.graph": "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    "ind.cora.test.index": "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    "ind.citeseer.x": "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
    "ind.citeseer.tx": "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
    "ind.citeseer.allx": "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
    "ind.citeseer.y": "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
    "ind.citeseer.ty": "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
    "ind.citeseer.ally": "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
    "ind.citeseer.graph": "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
    "ind.citeseer.test.index": "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    "ind.pubmed.x": "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
    "ind.pubmed.tx": "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
    "ind.pubmed.allx": "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
    "ind.pubmed.y": "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
    "ind.pubmed.ty": "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
    "ind.pubmed.ally": "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
    "ind.pubmed.graph": "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
    "ind.pubmed.test.index": "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
}
_MNIST = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def _files(checksums: dict[str, str], address: str, prefix: str = "") -> tuple[File, ...]:
    return tuple(
        File(name, checksum, address + name) for name, checksum in checksums.items() if name.startswith(prefix)
    )


def _idx(name: str, title: str, classes: tuple[str, ...], source: str, licence: str, files: tuple[File, ...]) -> Card:
    counts = {"train": 60_000, "test": 10_000}
    return Card(name, title, "samples", 70_000, (1, 28, 28), classes, source, licence, files, name, counts)


def _planetoid(
    name: str, title: str, size: int, edges: int, features: int, classes: tuple[str, ...], train: int
) -> Card:
    return Card(
        name=name,
        title=title,
        kind="nodes",
        size=size,
        shape=(features,),
        classes=classes,
        source="Sen et al. (2008); public split of Yang, Cohen, Salakhutdinov (2016), Planetoid",
        licence="MIT (repository kimiyoung/planetoid)",
        files=_files(_PLANETOID, "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data/", f"ind.{name}."),
        folder="planetoid",
        counts={"edges": edges, "train": train, "validation": 500, "test": 1_000},
    )


def _benchmark(
    name: str,
    title: str,
    size: int,
    edges: int,
    features: int,
    classes: tuple[str, ...],
    source: str,
    official: str,
    checksum: str,
) -> Card:
    parts = {"train": 20 * len(classes), "validation": 30 * len(classes), "test": size - 50 * len(classes)}
    address = f"https://github.com/shchur/gnn-benchmark/raw/master/data/npz/{official}"
    arrays = ("adj_indptr", "adj_indices", "attr_indptr", "attr_indices", "labels")
    return Card(
        name=name,
        title=title,
        kind="nodes",
        size=size,
        shape=(features,),
        classes=classes,
        source=f"{source}; graph and protocol of Shchur, Mumme, Bojchevski, Günnemann (2018)",
        licence="MIT (repository shchur/gnn-benchmark)",
        files=(File(f"{name.replace('-', '_')}.npz", checksum, address, arrays),),
        folder="gnn-benchmark",
        counts={"edges": edges, **parts},
    )


def _toy(name: str, title: str, classes: tuple[str, ...] = ()) -> Card:
    counts = {"train": 10_000, "test": 2_000}
    return Card(
        f"toy-{name}", title, "samples", 12_000, (2,), classes, "drawn when loaded", "none needed", counts=counts
    )


_DIGITS = tuple("0123456789")
_DIGITS_SOURCE = (
    "Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, test part; ships with scikit-learn"
)
_CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

_ALL = (
    Card(
        name="digits",
        title="Handwritten digits, 8 × 8, 17 levels of grey",
        kind="samples",
        size=1_797,
        shape=(1, 8, 8),
        classes=_DIGITS,
        source=_DIGITS_SOURCE,
        licence="CC BY 4.0",
        counts={"train": 1_500, "test": 297},
    ),
    Card(
        name="digit-maps",
        title="Label maps of handwritten digits, 8 × 8: background, or which digit a pixel is of",
        kind="samples",
        size=1_797,
        shape=(1, 8, 8),
        classes=_DIGITS,
        source=_DIGITS_SOURCE,
        licence="CC BY 4.0",
        counts={"train": 1_500, "test": 297},
    ),
    Card(
        name="digits-knn",
        title="Handwritten digits, each joined to its 8 nearest by Euclidean distance",
        kind="nodes",
        size=1_797,
        shape=(64,),
        classes=_DIGITS,
        source=_DIGITS_SOURCE,
        licence="CC BY 4.0",
        counts={"edges": 9_929, "train": 100, "validation": 500, "test": 1_197},
    ),
    _idx(
        "mnist",
        "Handwritten digits, 28 × 28 grey",
        _DIGITS,
        "LeCun, Cortes, Burges (1998)",
        "CC BY-SA 3.0 commonly given",
        _files(_MNIST, "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    ),
    _idx(
        "fashion-mnist",
        "Articles of clothing, 28 × 28 grey",
        _CLOTHES,
        "Xiao, Rasul, Vollgraf (2017)",
        "MIT",
        _files(_FASHION, "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
    ),
    _planetoid(
        "cora",
        "Papers on machine learning, joined by citations; bag of words",
        2_708,
        5_278,
        1_433,
        (
            "theory",
            "reinforcement learning",
            "genetic algorithms",
            "neural networks",
            "probabilistic methods",
            "case-based",
            "rule learning",
        ),
        140,
    ),
    _planetoid(
        "citeseer",
        "Papers on computer science, joined by citations; bag of words",
        3_327,
        4_552,
        3_703,
        ("AI", "machine learning", "information retrieval", "databases", "agents", "human-computer interaction"),
        120,
    ),
    _planetoid(
        "pubmed",
        "Papers on diabetes, joined by citations; TF-IDF",
        19_717,
        44_324,
        500,
        ("experimental", "type 1", "type 2"),
        60,
    ),
    Card(
        name="power-law",
        title="A graph of any size with hubs and planted classes; options nodes, degree, classes, graphs, …",
        kind="nodes",
        size=10_000,
        shape=(64,),
        classes=tuple(f"class {k}" for k in range(8)),
        source="Chung, Lu (2002) and Karrer, Newman (2011); drawn when loaded",
        licence="none needed",
        counts={"edges": 73_284, "train": 1_000, "validation": 1_000, "test": 8_000},
    ),
    Card(
        name="communities-many",
        title="Many graphs of communities that overlap; whole graphs are tested on; options graphs, nodes, communities, …",
        kind="nodes",
        size=4_000,
        shape=(32,),
        classes=tuple(f"community {k}" for k in range(8)),
        source="Yang, Leskovec (2012); drawn when loaded",
        licence="none needed",
        counts={"edges": 25967, "graphs": 20, "train": 2_400, "validation": 800, "test": 800},
    ),
    Card(
        name="ppi",
        title="Proteins in 24 human tissues, of 121 gene sets, any at once; whole graphs are tested on",
        kind="nodes",
        size=56_944,
        shape=(50,),
        classes=tuple(f"gene set {k}" for k in range(121)),
        source="Zitnik, Leskovec (2017); Hamilton, Ying, Leskovec (2017); archive of the Deep Graph Library",
        licence="not stated",
        files=(
            File(
                "ppi.zip",
                "1f5b2b09ac0f897fa6aa1338c64ab75a5473674cbba89380120bede8cddb2a6a",
                "https://data.dgl.ai/dataset/ppi.zip",
            ),
        ),
        folder="ppi",
        counts={"graphs": 24, "train": 44_906, "validation": 6_514, "test": 5_524},
    ),
    _benchmark(
        "amazon-photo",
        "Photographic goods, joined where often bought together; words of reviews",
        7_650,
        119_081,
        745,
        (
            "film photography",
            "digital cameras",
            "binoculars and scopes",
            "lenses",
            "tripods and monopods",
            "video surveillance",
            "lighting and studio",
            "flashes",
        ),
        "McAuley, Targett, Shi, van den Hengel (2015)",
        "amazon_electronics_photo.npz",
        "98ba1b318e1d61d126fc52b04e4218b4276876fcd3cc3092212238e29fa453e1",
    ),
    _benchmark(
        "amazon-computers",
        "Computers and parts, joined where often bought together; words of reviews",
        13_752,
        245_861,
        767,
        (
            "desktops",
            "data storage",
            "laptops",
            "monitors",
            "components",
            "video projectors",
            "routers",
            "tablets",
            "networking",
            "webcams",
        ),
        "McAuley, Targett, Shi, van den Hengel (2015)",
        "amazon_electronics_computers.npz",
        "938b711889db45dd5bde84b770502be43c881084a192dfbb9e025b5978290500",
    ),
    _benchmark(
        "coauthor-cs",
        "Authors in computer science, joined by papers together; keywords of papers",
        18_333,
        81_894,
        6_805,
        (
            "bioinformatics",
            "machine learning",
            "computer vision",
            "natural language",
            "graphics",
            "networks",
            "security",
            "databases",
            "data mining",
            "game theory",
            "human-computer interaction",
            "information theory",
            "medical informatics",
            "robotics",
            "theory",
        ),
        "Microsoft Academic Graph, KDD Cup 2016",
        "ms_academic_cs.npz",
        "ba32ada7ee52517649fb67d71e22f54a05bfb118840d6ecca36e4ba141fb47db",
    ),
    *GRAPHS,
    *MOLECULES.values(),
    *RATINGS,
    *RELATIONS,
    *FACTS,
    *MESHES,
    *LINKS,
    _toy("swiss-roll", "A spiral in the plane"),
    _toy("checkerboard", "The black squares of a 4 × 4 board"),
    _toy("gaussian-mixture", "Eight Gaussians on a circle", tuple(f"mode {k}" for k in range(8))),
    _toy("moons", "Two interleaved half circles", ("upper", "lower")),
    _toy("rings", "Two circles, one in the other", ("inner", "outer")),
    Card(
        name="heartbeat",
        title="Sequences of 20 bits of which every fifth is set",
        kind="samples",
        size=12_000,
        shape=(20,),
        classes=tuple(f"phase {k}" for k in range(5)),
        source="Sohl-Dickstein et al. (2015); drawn when loaded",
        licence="none needed",
        counts={"train": 10_000, "test": 2_000},
    ),
    Card(
        name="small-communities",
        title="Graphs of 12 to 20 nodes in two communities, to generate",
        kind="samples",
        size=1_200,
        shape=(210,),
        classes=(),
        source="drawn when loaded, as You et al. (2018)",
        licence="none needed",
        counts={"train": 960, "test": 240},
    ),
    Card(
        name="small-planar",
        title="Planar graphs of 12 to 20 nodes: triangulated points, to generate",
        kind="samples",
        size=1_200,
        shape=(210,),
        classes=(),
        source="drawn when loaded, as Martinkus et al. (2022)",
        licence="none needed",
        counts={"train": 960, "test": 240},
    ),
    Card(
        name="tinyshakespeare",
        title="Plays of Shakespeare, character by character; options length, test_fraction, …",
        kind="samples",
        size=1_115_394,
        shape=(128,),
        classes=(),
        source="Karpathy (2015), char-rnn: 40,000 lines of Shakespeare's plays",
        licence="public domain; MIT (repository karpathy/char-rnn)",
        files=_files(
            {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        ),
        folder="tinyshakespeare",
        counts={"characters": 65, "train": 1_003_728, "test": 871},
    ),
)

CARDS = {card.name: card for card in _ALL}
"""Every named data set, in the order of a list."""
