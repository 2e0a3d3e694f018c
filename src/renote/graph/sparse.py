"""Node features that are mostly zero (a bag of words), kept so.

Kipf & Welling's own code does this: dropout falls on the non-zeros only, and the product with a layer's weight reads the non-zeros only. Both
are the same in distribution as on the dense matrix, where dropout of a zero changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from renote.errors import DataError, UsageError
from renote.graph.dropout import dropout
from renote.graph.pattern import Pattern, starts
from renote.graph.segment import product

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SparseFeatures:
    """X as compressed sparse rows; `features @ weight` is a dense (nodes, out) tensor with a gradient to `weight`.

    Args:
        pattern: nodes × features.
        values: (entries,) floating point, finite.

    Example:
        >>> import torch
        >>> from renote.graph import SparseFeatures
        >>> words = SparseFeatures.from_dense(torch.eye(3))
        >>> (words @ torch.ones(3, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(self, pattern: Pattern, values: Tensor) -> None:
        if values.shape != (pattern.num_entries,):
            raise DataError(f"values of shape {tuple(values.shape)} for {pattern.num_entries} entries")
        self.pattern = pattern
        self.values = values

    @classmethod
    def from_dense(cls, dense: Tensor) -> SparseFeatures:
        """From (nodes, features); zeros are left out."""
        if dense.dim() != 2:
            raise DataError(f"features of shape {tuple(dense.shape)}: they must be (nodes, features)")
        row, column = dense.nonzero(as_tuple=True)
        pattern, _ = Pattern.from_pairs(row, column, dense.shape[0], dense.shape[1])
        return cls(pattern, dense[row, column])

    @classmethod
    def from_scipy(cls, matrix: Any, dtype: torch.dtype = torch.float32) -> SparseFeatures:
        """From any SciPy sparse matrix (nodes × features); duplicate entries are added."""
        rows = matrix.tocsr().copy()
        rows.sum_duplicates()
        pattern = Pattern(
            torch.as_tensor(rows.indptr),
            torch.as_tensor(rows.indices).to(torch.as_tensor(rows.indptr).dtype),
            rows.shape[1],
        )
        return cls(pattern, torch.as_tensor(rows.data).to(dtype))

    @property
    def shape(self) -> torch.Size:
        """(nodes, features)."""
        return torch.Size((self.pattern.num_rows, self.pattern.num_columns))

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values.device

    @property
    def requires_grad(self) -> bool:
        """Features are data: always False."""
        return False

    def __matmul__(self, weight: Tensor) -> Tensor:
        """X W, (nodes, out), for a weight (features, out)."""
        return product(self.pattern, self.values, weight)

    def dropout(self, probability: float, training: bool = True) -> SparseFeatures:
        """Each non-zero is dropped with `probability`, the others are scaled by 1 / (1 - probability)."""
        if not training or probability == 0.0:
            return self
        return SparseFeatures(self.pattern, dropout(self.values, probability))

    def normalize_rows(self) -> SparseFeatures:
        """Each row divided by the sum of its absolute values; an empty row stays zero."""
        total = product(self.pattern, self.values.abs(), self.values.new_ones(self.shape[1], 1)).squeeze(1)
        scale = total.reciprocal().masked_fill(total == 0, 0.0)
        return SparseFeatures(self.pattern, self.values * scale.index_select(0, self.pattern.row))

    def to_dense(self) -> Tensor:
        """(nodes, features); duplicate entries add."""
        dense = self.values.new_zeros(self.shape)
        return dense.index_put_((self.pattern.row.long(), self.pattern.column.long()), self.values, accumulate=True)

    def to_scipy(self) -> csr_array[Any]:
        """As a SciPy CSR array, which shares no memory with these features."""
        from scipy.sparse import csr_array

        parts = (self.values.cpu().numpy(), self.pattern.column.cpu().numpy(), self.pattern.rowptr.cpu().numpy())
        return csr_array(parts, shape=(self.shape[0], self.shape[1]), copy=True)

    def rows(self, start: int, end: int) -> SparseFeatures:
        """Rows start … end - 1."""
        first, last = int(self.pattern.rowptr[start]), int(self.pattern.rowptr[end])
        rowptr = self.pattern.rowptr[start : end + 1] - first
        return SparseFeatures(Pattern(rowptr, self.pattern.column[first:last], self.shape[1]), self.values[first:last])

    def select(self, nodes: Tensor) -> SparseFeatures:
        """The rows of some nodes, in the order given, also repeatedly."""
        pattern, entry = self.pattern.select(nodes)
        return SparseFeatures(pattern, self.values.index_select(0, entry))

    @staticmethod
    def concatenate(parts: list[SparseFeatures]) -> SparseFeatures:
        """Rows of all parts, one part after the other."""
        widths = {part.shape[1] for part in parts}
        if len(widths) != 1:
            raise UsageError(f"features of different widths: {sorted(widths)}")
        counts = torch.cat([part.pattern.count for part in parts]).long()
        rowptr = starts(counts).to(parts[0].pattern.rowptr.dtype)
        column = torch.cat([part.pattern.column for part in parts])
        return SparseFeatures(Pattern(rowptr, column, widths.pop()), torch.cat([part.values for part in parts]))

    def map(self, function: Callable[[Tensor], Tensor]) -> SparseFeatures:
        """The same features with each tensor passed through a function, e.g. to another device."""
        return SparseFeatures(self.pattern.map(function), function(self.values))

    def to(self, target: torch.device | torch.dtype | str) -> SparseFeatures:
        """On another device, or in another precision."""
        if isinstance(target, torch.dtype):
            return SparseFeatures(self.pattern, self.values.to(target))
        return self.map(lambda tensor: tensor.to(target))

    def __repr__(self) -> str:
        return f"SparseFeatures(shape={tuple(self.shape)}, entries={self.pattern.num_entries}, dtype={self.dtype})"
