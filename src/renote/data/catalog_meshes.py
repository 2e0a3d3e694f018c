"""The sets of surfaces that have a name, as `catalog` has all others."""

from __future__ import annotations

from renote.data.card import Card, File

_CATS = "https://raw.githubusercontent.com/zorah/KernelMatching/master/data/"

MESHES = (
    Card(
        name="figures",
        title="One figure in random poses and shapes, whose vertices correspond; options subdivisions, shapes, noise, …",
        kind="meshes",
        size=100,
        shape=(506, 3),
        classes=(),
        source="drawn when loaded: a cage of bones, linear blend skinning, Loop (1987) subdivision",
        licence="none needed",
        counts={"train": 80, "validation": 8, "test": 12, "faces": 1_008},
    ),
    Card(
        name="tosca-cat",
        title="A cat in two poses, meshed independently, with the vertex of one for each of the other",
        kind="meshes",
        size=2,
        shape=(5_038, 3),
        classes=(),
        source="Bronstein, Bronstein, Kimmel (2008), TOSCA; meshes of Lähner et al. (2017), repository zorah/KernelMatching; correspondence through the full meshes, in a mirror alone",
        licence="TOSCA: free for non-commercial use; GPL-3.0 (repository)",
        files=(
            File(
                "cat0_5k.off", "ece09bedc03938a3e6265dfd7e34f2383f2c8aa9df46b66ceacd553e19f8eb23", _CATS + "cat0_5k.off"
            ),
            File(
                "cat6_5k.off", "6e7c60308f68edf8c23a4e881033147276deb0b773ced4301b5be70b24ca7d28", _CATS + "cat6_5k.off"
            ),
            File("cat0_5k_to_cat6_5k.txt", "1fb0a8c9c214a93301945ae61a08c70e5abde425072d1b02a70ff70693ca6066", ""),
        ),
        folder="tosca-cat",
        counts={"train": 1, "validation": 0, "test": 1, "faces": 10_000},
    ),
)
