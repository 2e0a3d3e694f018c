"""The graphs whose links are predicted that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File

_ADDRESS = "https://raw.githubusercontent.com/muhanzhang/SEAL/master/MATLAB/data/"


def _seal(name: str, title: str, official: str, size: int, links: int, source: str, checksum: str) -> Card:
    return Card(
        name=name,
        title=title,
        kind="links",
        size=size,
        shape=(),
        classes=("no link", "link"),
        source=f"{source}; as in Zhang & Chen (2018), repository muhanzhang/SEAL",
        licence="none stated; research",
        files=(File(f"{official}.mat", checksum, f"{_ADDRESS}{official}.mat"),),
        folder="seal",
        counts={"links": links},
    )


LINKS = (
    _seal("usair", "Airports of the USA that a line joins", "USAir", 332, 2_126, "Batagelj & Mrvar (2006), Pajek", "6b48a37e2bb398234e5383787c30dca087de704366a2b7b05d64cc2f53210e0b"),
    _seal("ns", "Researchers of networks who wrote together", "NS", 1_589, 2_742, "Newman (2006)", "c69258a674e13115e34ec11343c92f352bcec635baf3fe40f0adf6e8a5037019"),
    _seal("pb", "Political blogs of the USA that link to each other", "PB", 1_222, 16_714, "Ackland (2005)", "c0eca0a3b5bac0ecd46491c2a1e080ec22e445d28f9975bc776dc07b3d672d88"),
    _seal("yeast", "Proteins of yeast that interact", "Yeast", 2_375, 11_693, "von Mering et al. (2002)", "2d199acffa6cecd9dfd0d13f0c4eaecd34158e83f1a717e5da7e38089692e112"),
    _seal("celegans", "Nerve cells of a worm that a synapse joins", "Celegans", 297, 2_148, "Watts & Strogatz (1998)", "450bb6f3ca833a65f53ee59103945ef87da70de2c6d262b1a760b9eefce287d6"),
    _seal("power", "Stations of the western power grid of the USA that a line joins", "Power", 4_941, 6_594, "Watts & Strogatz (1998)", "87d7b9d5449b6a18fad4fdd662efd33be84c805ea66692f9e2e0791569c5a478"),
    _seal("router", "Routers of the internet that are connected", "Router", 5_022, 6_258, "Spring, Mahajan & Wetherall (2002)", "bae603199c2ddb0f8776acb1962c9c6ed89773da9d41377d6a7f8cc2b1e3a1c1"),
    _seal("ecoli", "Metabolites of a bacterium that a reaction joins", "Ecoli", 1_805, 14_660, "Zhang, Cui, Jiang & Chen (2018)", "6701fdf0a01c01406e98f9874b04d4fbcae5786d71fad009f4501c0b6086df5e"),
)  # fmt: skip
