"""The ratings that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File

_GOWALLA = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/gowalla/"

RATINGS = (
    Card(
        name="movielens-100k",
        title="Who rated which film",
        kind="ratings",
        size=100_000,
        shape=(943, 1_682),
        classes=(),
        source="GroupLens, Harper, Konstan (2015)",
        licence="research, no redistribution without permission",
        files=(
            File(
                "ml-100k.zip",
                "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                members=("ml-100k/u.data",),
            ),
        ),
        folder="ml-100k",
        counts={"users": 943, "items": 1_682},
    ),
    Card(
        name="gowalla",
        title="Who checked in where, in the split of NGCF and LightGCN",
        kind="ratings",
        size=1_027_370,
        shape=(29_858, 40_981),
        classes=(),
        source="Cho, Myers, Leskovec (2011); 10-core and split of Wang et al. (2019), NGCF",
        licence="none stated; research (SNAP check-ins)",
        files=(
            File(
                "train.txt.gz",
                "f8ba335f85e074a8ed442bf5f362472e19212c5f0e5973b472eca8d88b7c9eb7",
                _GOWALLA + "train.txt",
                sets=True,
            ),
            File(
                "test.txt.gz",
                "bc8153f7eb9fc99cebedf86af7224aeca2df07feb823bc434adbc010a65ca789",
                _GOWALLA + "test.txt",
                sets=True,
            ),
        ),
        folder="gowalla",
        counts={"users": 29_858, "items": 40_981, "train": 810_128, "test": 217_242},
    ),
)
