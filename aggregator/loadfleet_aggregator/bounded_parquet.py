"""Parquet files that hosts send: looked at before a row of them is read, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from loadfleet_agent.contract.files import open_plain

from .parquet_pages import PageError, pages
from .text.listing import shortened
from .text.terminal import printable

if TYPE_CHECKING:  # it takes a while, which a command that reads no such file does not wait for
    import pyarrow as pa

SPARE_BYTES = 1 << 20
"""For the file's own description, whatever the rows are."""
MAX_ROW_GROUPS = 4096
MAX_PAGES = 100_000
"""Of a column; pyarrow begins one after a MiB or 20,000 rows."""
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

    Size, row count and types are looked at first, then every page header of the columns, so that
    the number of rows bounds the memory. Text comes as a dictionary, each one once. No value is
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
        described = pq.ParquetFile(
            stream,
            thrift_string_size_limit=MAX_DESCRIPTION_BYTES,
            thrift_container_size_limit=MAX_DESCRIPTION_ITEMS,
        )
        metadata, schema = described.metadata, described.schema
        _require_bounded(metadata, layout, rows)
        # An element of a list has had two names.
        found = [
            (f.name, str(f.type).replace("item: ", "element: ")) for f in described.schema_arrow
        ]
        if found != list(layout.columns.items()):
            raise ParquetError(f"its columns are not those of {layout.name}")
        leaves = [schema.column(index) for index in range(metadata.num_columns)]
        for index, leaf in enumerate(leaves):
            if leaf.path.partition(".")[0] in columns:
                _require_small_pages(stream, metadata, index, layout)
        file = pq.ParquetFile(
            stream,
            metadata=metadata,
            # One long text in a dictionary, written out for every row, would fill the memory.
            read_dictionary=[x.path for x in leaves if x.physical_type == "BYTE_ARRAY"],
        )
        # Group by group, for lists of dictionaries cannot be read over several.
        groups = [
            file.read_row_group(index, columns=list(columns), use_threads=False)
            for index in range(metadata.num_row_groups)
        ]
    table = pa.concat_tables(groups)
    table.validate(full=True)
    for name in columns:
        if _text_bytes(table.column(name)) > rows * layout.row_bytes + SPARE_BYTES:
            raise ParquetError(f"{name}: more text than its rows may have")
    return table


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
    if counted != rows:
        raise ParquetError("its row groups do not add up to its rows")


def _require_small_pages(stream: BinaryIO, metadata: Any, index: int, layout: Layout) -> None:
    """One column's pages over all row groups: as many values as described, and not too large."""
    rows = metadata.num_rows
    most_bytes = rows * layout.row_bytes + SPARE_BYTES
    size, values, count = 0, 0, 0
    for group_index in range(metadata.num_row_groups):
        column = metadata.row_group(group_index).column(index)
        start, first = column.data_page_offset, column.dictionary_page_offset
        if first is not None and 0 < first < start:
            start = first
        in_group = 0
        try:
            for page in pages(stream, start, column.total_compressed_size):
                size, count = size + page.size_bytes, count + 1
                if page.dictionary and page.values > column.num_values:
                    raise ParquetError("a dictionary of more values than its column")
                if size > most_bytes or count > MAX_PAGES:
                    raise ParquetError("a column that is too large for its rows")
                in_group += 0 if page.dictionary else page.values
        except PageError as error:
            raise ParquetError(str(error)) from error
        if in_group != column.num_values:
            raise ParquetError("a column whose pages have other values than are described")
        values += in_group
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
