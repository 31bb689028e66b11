"""Parquet files that hosts send: looked at before a row of them is read, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from loadfleet_agent.contract.files import open_plain

from .parquet_headers import MAX_FOOTER_BYTES, RowGroup, read_pages, read_row_groups
from .text.listing import shortened
from .text.terminal import printable

if TYPE_CHECKING:  # it takes a while, which a command that reads no such file does not wait for
    import pyarrow as pa

SPARE_BYTES = 1 << 20
"""For the file's own description, whatever the rows are."""
MAX_ROW_GROUPS = 4096
MAX_PAGES = 100_000
"""Of a column; pyarrow begins one after a MiB or 20,000 rows."""
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
    """Most of a column for each of its rows, uncompressed, on the mean; of a column of text both
    as its pages hold it and with each row's text written out."""
    compressions: frozenset[str]
    list_values: int = 0
    """Most values of a list for each row, on the mean."""


def read_table(
    path: Path,
    layout: Layout,
    rows: int,
    columns: Sequence[str],
    nullable: Collection[str] = (),
) -> pa.Table:
    """These columns of a file that is to have ``rows`` rows, all values valid: text is UTF-8.

    Size, row count, types and every page header of the columns are looked at first, so that the
    number of rows bounds the memory. Text comes as a dictionary, each one once. No value is
    missing but in ``nullable``. Raises ParquetError.
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
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_plain(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > rows * layout.row_bytes * 2 + SPARE_BYTES:
            raise ParquetError(f"{size} bytes: too large for {rows} samples")
        groups = read_row_groups(stream, size)
        _require_rows(groups, layout, rows)
        for index, name in enumerate(layout.columns):
            if name in columns:
                _require_small_pages(stream, groups, index, layout)
        described = pq.ParquetFile(
            stream,
            thrift_string_size_limit=MAX_FOOTER_BYTES,
            thrift_container_size_limit=MAX_DESCRIPTION_ITEMS,
        )
        # An element of a list has had two names.
        found = [
            (f.name, str(f.type).replace("item: ", "element: ")) for f in described.schema_arrow
        ]
        if found != list(layout.columns.items()):
            raise ParquetError(f"its columns are not those of {layout.name}")
        leaves = [described.schema.column(index) for index in range(len(layout.columns))]
        file = pq.ParquetFile(
            stream,
            metadata=described.metadata,
            # One long text in a dictionary, written out for every row, would fill the memory.
            read_dictionary=[x.path for x in leaves if x.physical_type == "BYTE_ARRAY"],
        )
        # Group by group, for lists of dictionaries cannot be read over several.
        tables = [
            file.read_row_group(index, columns=list(columns), use_threads=False)
            for index in range(len(groups))
        ]
    table = pa.concat_tables(tables)
    table.validate(full=True)
    for name in columns:
        if _text_bytes(table.column(name)) > rows * layout.row_bytes + SPARE_BYTES:
            raise ParquetError(f"{name}: more text than its rows may have")
    return table


def _require_rows(groups: Sequence[RowGroup], layout: Layout, rows: int) -> None:
    found = sum(group.rows for group in groups)
    if found != rows or any(group.rows < 0 for group in groups):
        raise ParquetError(f"{found} rows, but the run had {rows} samples")
    if len(groups) > MAX_ROW_GROUPS:
        raise ParquetError("too many row groups")
    for group in groups:
        if len(group.chunks) != len(layout.columns):
            raise ParquetError(f"its columns are not those of {layout.name}")
        for chunk, kind in zip(group.chunks, layout.columns.values(), strict=True):
            # A list has as many values as all its rows together.
            rows_of_it = kind.startswith("list<") or chunk.values == group.rows
            if chunk.compression not in layout.compressions or not rows_of_it:
                raise ParquetError("a column is compressed otherwise, or has other rows")


def _require_small_pages(
    stream: BinaryIO, groups: Sequence[RowGroup], index: int, layout: Layout
) -> None:
    """One column's pages over all row groups: as many values as described, and not too large."""
    rows = sum(group.rows for group in groups)
    size, values, count = 0, 0, 0
    for chunk in (group.chunks[index] for group in groups):
        in_chunk = 0
        for page in read_pages(stream, chunk):
            size, count = size + page.size_bytes, count + 1
            if size > rows * layout.row_bytes + SPARE_BYTES or count > MAX_PAGES:
                raise ParquetError("a column that is too large for its rows")
            if page.dictionary and page.values > chunk.values:
                raise ParquetError("a dictionary of more values than its column")
            in_chunk += 0 if page.dictionary else page.values
        if in_chunk != chunk.values:
            raise ParquetError("a column whose pages have other values than are described")
        values += in_chunk
    if values > rows * max(1, layout.list_values):
        raise ParquetError("a column of lists with too many values for its rows")


def _text_bytes(column: Any) -> int:
    """Of a column of texts or of lists of them, each row's written out; 0 for any other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        values = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if pa.types.is_dictionary(values.type):
            lengths = pc.binary_length(values.dictionary).take(values.indices)
            total += pc.sum(lengths).as_py() or 0
    return total
