"""What a part of a graph knows of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Whole:
    """What the edges of a part of a graph keep of the whole, so that loops and Kipf's normalization are those of the whole, and sums estimate its sums.

    Args:
        degree: (nodes,) of the part's nodes in the whole, `looped_degree` there.
        share: (edges,) how often an edge is expected in the part, by which a sum divides it; None for once.
        loop: (nodes,) the weight of each node's loop in the whole, NaN where it has none; None if no node has one.
    """

    degree: Tensor
    share: Tensor | None = None
    loop: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Whole:
        """The same with each tensor passed through a function, e.g. to another device."""
        share, loop = (None if kept is None else function(kept) for kept in (self.share, self.loop))
        return Whole(function(self.degree), share, loop)
