"""Parquet files that hosts send: looked at before a row of them is read, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadfleet_agent.contract.files import open_plain

from .text.listing import shortened
from .text.terminal import printable

if TYPE_CHECKING:  # it takes a while, which a command that reads no such file does not wait for
    import pyarrow as pa

SPARE_BYTES = 1 << 20
"""For the file's own description, whatever the rows are."""
MAX_ROW_GROUPS = 4096
MAX_DESCRIPTION_BYTES = 1 << 20
MAX_DESCRIPTION_ITEMS = 100_000


class ParquetError(ValueError):
    """The file is not what it is to be; the text says why, without its path."""


@dataclass(frozen=True)
class Layout:
    """What a file is to be."""

    name: str
    columns: Mapping[str, str]
    """Names and Arrow types, in their order; a list is of plain values."""
    row_bytes: int
    """Most of a column for each of its rows, uncompressed, on the mean."""
    compressions: frozenset[str]


def read_table(
    path: Path,
    layout: Layout,
    rows: int,
    columns: Sequence[str],
    nullable: Collection[str] = (),
) -> pa.Table:
    """These columns of a file that is to have ``rows`` rows. Raises ParquetError.

    Size, row count, types and encodings are looked at first, so that memory is bounded by the
    number of rows. No value is missing but in ``nullable``.
    """
    import pyarrow as pa

    try:
        table = _read(path, layout, rows, columns)
    except ParquetError:
        raise
    except (OSError, ValueError, ArithmeticError, MemoryError, pa.ArrowException) as error:
        text = shortened(printable(str(error).replace(f"{path}", path.name)))
        raise ParquetError(f"not a Parquet file that can be read: {text}") from error
    if table.num_rows != rows:
        raise ParquetError(f"{table.num_rows} rows could be read of {rows}")
    if any(table.column(name).null_count for name in columns if name not in nullable):
        raise ParquetError("a value is missing")
    return table


def _read(path: Path, layout: Layout, rows: int, columns: Sequence[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with open_plain(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > rows * layout.row_bytes * 2 + SPARE_BYTES:
            raise ParquetError(f"{size} bytes: too large for {rows} samples")
        file = pq.ParquetFile(
            stream,
            thrift_string_size_limit=MAX_DESCRIPTION_BYTES,
            thrift_container_size_limit=MAX_DESCRIPTION_ITEMS,
        )
        _require_bounded(file.metadata, layout, rows)
        # An element of a list has had two names.
        found = [(f.name, str(f.type).replace("item: ", "element: ")) for f in file.schema_arrow]
        if found != list(layout.columns.items()):
            raise ParquetError(f"its columns are not those of {layout.name}")
        return file.read(columns=list(columns), use_threads=False)


def _require_bounded(metadata: Any, layout: Layout, rows: int) -> None:
    if metadata.num_rows != rows:
        raise ParquetError(f"{metadata.num_rows} rows, but the run had {rows} samples")
    if metadata.num_row_groups > MAX_ROW_GROUPS or metadata.num_columns != len(layout.columns):
        raise ParquetError("too many row groups, or not its columns")
    counted = 0
    for group_index in range(metadata.num_row_groups):
        group = metadata.row_group(group_index)
        if not 0 <= group.num_rows <= rows:
            raise ParquetError("a row group of a senseless number of rows")
        counted += group.num_rows
        for column_index in range(group.num_columns):
            column = group.column(column_index)
            # A list has as many values as all its rows together.
            rows_of_it = "." in column.path_in_schema or column.num_values == group.num_rows
            if column.compression not in layout.compressions or not rows_of_it:
                raise ParquetError("a column is compressed otherwise, or has other rows")
            if column.total_uncompressed_size > rows * layout.row_bytes + SPARE_BYTES:
                raise ParquetError("a column that is too large for its rows")
    if counted != rows:
        raise ParquetError("its row groups do not add up to its rows")
