"""Which entries of a rows × columns matrix are there: the structure under every sparse thing here.

Neighbours → node, nodes → graph, words → document are all one shape: for each row a run of columns. The pattern keeps that run
(compressed sparse rows), its transpose with the permutation of entries between the two, and the number of entries a row, each made
when first asked for and then kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

INT32_MAX = 2**31 - 1
# A sum of n numbers one after the other is off by up to n 2⁻²⁴ in single precision: by a hundredth for a million equal ones, as was measured.
LONG = 1024


class Pattern:
    """Entry k lies in row r where `rowptr[r] <= k < rowptr[r + 1]`, in column `column[k]`.

    Args:
        rowptr: (rows + 1,) where each row's run begins, and the end of the last.
        column: (entries,) of the same integer dtype.
        num_columns: explicit, because the last columns may be empty.
    """

    def __init__(self, rowptr: Tensor, column: Tensor, num_columns: int) -> None:
        self.rowptr = rowptr
        self.column = column
        self.num_rows = rowptr.shape[0] - 1
        self.num_columns = num_columns
        self.num_entries = column.shape[0]
        self._ones: dict[torch.dtype, Tensor] = {}
        self._blocks: dict[int, Pattern] = {}
        self._transposed: Pattern | None = None
        self.known_symmetric = False
        self._in_order = False
        # Weak: a circle of two patterns would hold their memory until the garbage collector happens to run.
        self._transposed_of: weakref.ref[Pattern] | None = None

    @classmethod
    def from_pairs(cls, row: Tensor, column: Tensor, num_rows: int, num_columns: int) -> tuple[Pattern, Tensor | None]:
        """Sorts entries by row, then column, keeping the given order of equal ones.

        Args:
            row: (entries,) integers in [0, num_rows).
            column: (entries,) integers in [0, num_columns).
            num_rows: number of rows.
            num_columns: number of columns.

        Returns:
            The pattern, and for each of its entries the place in the given lists; None if they were sorted already.
        """
        bits = max(num_columns - 1, 0).bit_length()
        key = (row.long() << bits) | column
        index = index_dtype(num_rows, num_columns, row.shape[0])
        rowptr, order = _rowptr(row, num_rows, index), None
        if bool((key[1:] < key[:-1]).any()):
            order = _order(key, max(num_rows - 1, 0).bit_length() + bits)
            column = column.index_select(0, order)
        return cls(rowptr, column.to(index).contiguous(), num_columns), order

    @classmethod
    def from_segments(cls, segment: Tensor, num_segments: int) -> Pattern:
        """Rows are segments; column i is item i, which lies in the row `segment[i]`."""
        if bool((segment[1:] >= segment[:-1]).all()):
            return cls.from_ends(_rowptr(segment, num_segments, index_dtype(num_segments, segment.shape[0])))
        items = torch.arange(segment.shape[0], device=segment.device)
        return cls.from_pairs(segment, items, num_segments, segment.shape[0])[0]

    @classmethod
    def from_ends(cls, rowptr: Tensor) -> Pattern:
        """Rows are segments of items in order: row r has those from `rowptr[r]` to `rowptr[r + 1]`, each in the column of its number."""
        items = int(rowptr[-1])
        index = index_dtype(len(rowptr), items)
        pattern = cls(rowptr.to(index), torch.arange(items, dtype=index, device=rowptr.device), items)
        pattern._in_order = True
        return pattern

    @cached_property
    def count(self) -> Tensor:
        """(rows,) entries in each row, in `rowptr`'s dtype."""
        return self.rowptr[1:] - self.rowptr[:-1]

    @cached_property
    def row(self) -> Tensor:
        """(entries,) the row of each entry, in `rowptr`'s dtype."""
        rows = torch.arange(self.num_rows, dtype=self.rowptr.dtype, device=self.rowptr.device)
        return repeated(rows, self.count)

    def select(self, rows: Tensor) -> tuple[Pattern, Tensor]:
        """Some rows in the order given, all columns staying, and for each entry of theirs its place here, int64."""
        entry = self.entries_of(rows)
        rowptr = starts(self.count.index_select(0, rows).long()).to(self.rowptr.dtype)
        return Pattern(rowptr, self.column.index_select(0, entry), self.num_columns), entry

    def entries_of(self, rows: Tensor) -> Tensor:
        """The numbers of the entries of some rows, one row after the other."""
        count = self.count[rows].long()
        entries = torch.arange(int(count.sum()), device=count.device)
        return entries + repeated(self.rowptr[rows].long() - starts(count)[:-1], count)

    @cached_property
    def pieces(self) -> tuple[Tensor | None, Tensor | None, Pattern, Pattern] | None:
        """For sums in two levels, where a row has more than `LONG` entries; None where none has.

        Returns:
            The long rows and the numbers of their entries, or None for all if those are few beside the entries of long ones; pieces ×
            columns, each of at most `LONG` of these entries; these rows × pieces.
        """
        if not self.num_entries or int(self.count.max()) <= LONG:
            return None
        long = (self.count > LONG).nonzero().squeeze(1)
        rows, entries, column, count = None, None, self.column, self.count.long()
        if int(count[long].sum()) < self.num_rows:
            rows, entries, count = long, self.entries_of(long), count[long]
            column = column.index_select(0, entries)
        number = (count + LONG - 1) // LONG
        first, dtype = starts(number), self.rowptr.dtype
        places = torch.arange(int(first[-1]), device=count.device)
        begin = repeated(starts(count)[:-1] - LONG * first[:-1], number) + LONG * places
        fine = Pattern(torch.cat([begin, begin.new_full((1,), len(column))]).to(dtype), column, self.num_columns)
        return rows, entries, fine, Pattern(first.to(dtype), places.to(dtype), len(places))

    @cached_property
    def symmetric(self) -> bool:
        """Whether the transpose has the same entries in the same places, as that of an undirected graph."""
        turned = self.transposed
        square = self.num_rows == self.num_columns
        same = square and torch.equal(turned.rowptr, self.rowptr) and torch.equal(turned.column, self.column)
        self.known_symmetric = same
        if same:
            self._transposed = None
        return same

    def symmetric_as(self, other: Pattern) -> Pattern:
        """This pattern; where the other one is known to be symmetric, so is this: its transpose is itself, and is not made."""
        self.known_symmetric = other.known_symmetric
        return self

    @property
    def transposed(self) -> Pattern:
        """Rows and columns exchanged; its entries are `self`'s entries in the order `to_transposed`."""
        if self.known_symmetric:
            return self
        origin = None if self._transposed_of is None else self._transposed_of()
        if origin is not None:
            return origin
        return self._turned()[0] if self._transposed is None else self._transposed

    def _turned(self) -> tuple[Pattern, Tensor]:
        """Makes and keeps the transpose, and the order of its entries."""
        index = self.rowptr.dtype
        if self._in_order:
            order, column = self.column, self.row
            rowptr = torch.arange(self.num_entries + 1, dtype=index, device=order.device)
        elif self.column.device.type == "cpu":
            from scipy.sparse import csr_array

            # by counting, three to ten times faster than a sort
            places = np.arange(self.num_entries, dtype=self.rowptr.numpy().dtype)
            shape = self.num_rows, self.num_columns
            turned = csr_array((places, self.column.numpy(), self.rowptr.numpy()), shape=shape).tocsc()
            parts = (torch.from_numpy(part).to(index) for part in (turned.indptr, turned.indices, turned.data))
            rowptr, column, order = parts
        else:
            order = torch.argsort(self.column, stable=True).to(index)
            rowptr = _rowptr(self.column.index_select(0, order), self.num_columns, index)
            column = self.row.index_select(0, order)
        self._transposed = Pattern(rowptr, column, self.num_rows)
        self._transposed._transposed_of = weakref.ref(self)
        self.to_transposed = order
        return self._transposed, order

    def __getstate__(self) -> dict[str, Any]:
        # What is made lazily is made anew in a copy; weak references cannot be pickled.
        return {name: getattr(self, name) for name in ("rowptr", "column", "num_columns")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @cached_property
    def to_transposed(self) -> Tensor:
        """(entries,) for each entry of the transpose, its place here: `values[to_transposed]` are the transpose's values."""
        origin = None if self._transposed_of is None else self._transposed_of()
        if origin is None:
            return self._turned()[1]
        places = torch.arange(self.num_entries, dtype=self.rowptr.dtype, device=self.rowptr.device)
        return torch.empty_like(places).index_copy_(0, origin.to_transposed.long(), places)

    @cached_property
    def by_row(self) -> Pattern:
        """Rows × entries: entry k is in column k. A sum over it gathers what lies on the entries of each row."""
        places = torch.arange(self.num_entries, dtype=self.rowptr.dtype, device=self.rowptr.device)
        return Pattern(self.rowptr, places, self.num_entries)

    @cached_property
    def by_column(self) -> Pattern:
        """Columns × entries: the same for the entries of each column."""
        return Pattern(self.transposed.rowptr, self.to_transposed, self.num_entries)

    def blocks(self, count: int) -> Pattern:
        """This pattern `count` times along a diagonal: row r of block b is row b · rows + r, its entry k is entry b · entries + k.

        One product with it is `count` products at once, each with its own values and its own signal; made once.
        """
        if count == 1:
            return self
        if count not in self._blocks:
            blocks, turned = self._repeated(count), self.transposed._repeated(count)
            blocks.to_transposed = _shifted(self.to_transposed, count, self.num_entries, blocks.rowptr.dtype).view(-1)
            blocks._transposed, turned._transposed_of = turned, weakref.ref(blocks)
            self._blocks[count] = blocks
        return self._blocks[count]

    def _repeated(self, count: int) -> Pattern:
        index = index_dtype(*(count * size for size in (self.num_rows, self.num_columns, self.num_entries)))
        starts = _shifted(self.rowptr[:-1], count, self.num_entries, index).view(-1)
        rowptr = torch.cat([starts, starts.new_full((1,), count * self.num_entries)])
        column = _shifted(self.column, count, self.num_columns, index).view(-1)
        return Pattern(rowptr, column, count * self.num_columns)

    @staticmethod
    def diagonal(parts: Sequence[Pattern]) -> Pattern:
        """Patterns along a diagonal, as one; its transpose is made of theirs."""
        whole, turned = _joined(parts), _joined([part.transposed for part in parts])
        entries = [part.num_entries for part in parts]
        order = [part.to_transposed.to(whole.rowptr.dtype) for part in parts]
        whole.to_transposed = torch.cat(_raised(order, entries))
        whole._transposed, turned._transposed_of = turned, weakref.ref(whole)
        return whole

    @cached_property
    def distinct(self) -> tuple[Pattern, Tensor | None]:
        """Each place once, and for every entry here its number there; (self, None) where no place is there twice."""
        again = (self.row[1:] == self.row[:-1]) & (self.column[1:] == self.column[:-1])
        if not bool(again.any()):
            return self, None
        first = torch.cat([again.new_ones(1), ~again])
        rowptr = _rowptr(self.row[first], self.num_rows, self.rowptr.dtype)
        return Pattern(rowptr, self.column[first], self.num_columns), first.cumsum(0) - 1

    def ones(self, dtype: torch.dtype) -> Tensor:
        """(entries,) ones, kept for the kernels that insist on values."""
        if dtype not in self._ones:
            self._ones[dtype] = torch.ones(self.num_entries, dtype=dtype, device=self.column.device)
        return self._ones[dtype]

    def map(self, function: Callable[[Tensor], Tensor]) -> Pattern:
        """The same pattern with each index tensor passed through a function, e.g. to another device."""
        return Pattern(function(self.rowptr), function(self.column), self.num_columns)


def _joined(parts: Sequence[Pattern]) -> Pattern:
    columns, entries = [part.num_columns for part in parts], [part.num_entries for part in parts]
    index = index_dtype(sum(part.num_rows for part in parts), sum(columns), sum(entries))
    begins = _raised([part.rowptr[:-1].to(index) for part in parts], entries)
    rowptr = torch.cat([*begins, begins[0].new_full((1,), sum(entries))])
    column = torch.cat(_raised([part.column.to(index) for part in parts], columns))
    return Pattern(rowptr, column, sum(columns))


def _raised(parts: Sequence[Tensor], by: Sequence[int]) -> list[Tensor]:
    """Each part raised by the sum of what belongs to those before it."""
    return [part + sum(by[:number]) for number, part in enumerate(parts)]


def _shifted(index: Tensor, count: int, by: int, dtype: torch.dtype) -> Tensor:
    """(count, …) the numbers raised by 0, `by`, 2 `by`, …"""
    return index.to(dtype) + by * torch.arange(count, dtype=dtype, device=index.device)[:, None]


def index_dtype(*sizes: int) -> torch.dtype:
    """int32 where it can number all of these, else int64."""
    return torch.int32 if max(sizes) < INT32_MAX else torch.int64


def starts(count: Tensor) -> Tensor:
    """(n + 1,) where each of n runs begins, and the end of the last."""
    return torch.cat([count.new_zeros(1), count.cumsum(0)])


def repeated(values: Tensor, count: Tensor) -> Tensor:
    """(Σ count,) each of the values (n,) as often as its count (n,) says, one after the other."""
    if values.device.type == "cpu":
        # two to ten times faster than PyTorch's
        return torch.from_numpy(np.repeat(values.numpy(), count.numpy()))
    return values.repeat_interleave(count)


def _rowptr(row: Tensor, num_rows: int, dtype: torch.dtype) -> Tensor:
    rowptr = torch.zeros(num_rows + 1, dtype=dtype, device=row.device)
    rowptr[1:] = torch.bincount(row, minlength=num_rows).cumsum(0)
    return rowptr


def _order(key: Tensor, bits: int) -> Tensor:
    """(n,) int64, the places of numbers in increasing order, of equal ones in the order given; all are below 2^bits."""
    place = (len(key) - 1).bit_length()
    if key.device.type != "cpu" or bits + place > 63:
        return torch.argsort(key, stable=True)
    # numbers that carry their places are sorted by NumPy in a third of the time
    carrying = (key << place).bitwise_or_(torch.arange(len(key), device=key.device))
    carrying.numpy().sort()
    return carrying.bitwise_and_((1 << place) - 1)
