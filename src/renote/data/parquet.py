"""Tables in Parquet files, by Apache Arrow, which is an extra of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renote.errors import DataError


class Column:
    """One column of a Parquet file, as text or as numbers.

    Args:
        cells: Arrow's array, in chunks.
    """

    def __init__(self, cells: Any) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells)

    def take(self, rows: NDArray[np.int64]) -> Column:
        """Some rows, in an order."""
        return Column(self._cells.take(rows))

    def text(self) -> tuple[str, ...]:
        """A text a row; `""` where the value is missing or NaN. A whole number reads the same, whichever type it has."""
        return tuple(map(_text, self._cells.to_pylist()))

    def numbers(self) -> NDArray[np.float64] | None:
        """A number a row, NaN where it is missing; None if the column holds something else."""
        import pyarrow as arrow

        of = arrow.types
        kind = self._cells.type
        if not any(check(kind) for check in (of.is_integer, of.is_floating, of.is_boolean, of.is_decimal)):
            return None
        # Arrow casts booleans to small whole numbers alone
        cells = self._cells.cast(arrow.int8()) if of.is_boolean(kind) else self._cells
        return np.array(cells.cast(arrow.float64()).to_numpy(), dtype=np.float64)


def read(path: Path) -> dict[str, Column]:
    """The columns of a Parquet file by name, in its order.

    Args:
        path: of the file.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or a column has the name of another or holds lists.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            f"{path} is a Parquet file, which pyarrow reads: pip install 'renote[parquet]', or give the table as .csv"
        ) from None
    try:
        table = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a Parquet file: {error}") from error
    if len(set(table.column_names)) < len(table.column_names):
        raise DataError(f"{path} names a column twice: {table.column_names}")
    for name, cells in zip(table.column_names, table.columns):
        if arrow.types.is_nested(cells.type):
            raise DataError(f"{path}: the column {name!r} holds {cells.type}: give each number a column of its own")
    return {name: Column(cells) for name, cells in zip(table.column_names, table.columns)}


def _text(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
