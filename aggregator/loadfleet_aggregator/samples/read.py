"""samples.parquet of one LoadGen run, read as untrusted input."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.files import open_plain

from ..text.listing import shortened
from ..text.terminal import printable

if TYPE_CHECKING:  # it takes a while, which a command that reads no samples does not wait for
    import pyarrow as pa

MAX_ROWS = 4_000_000
"""Two hours of 500 queries a second; 64 bytes each in memory."""
ROW_BYTES = 64
SPARE_BYTES = 1 << 20
"""For the file's own description, whatever the rows are."""
MAX_ROW_GROUPS = 4096
MAX_DESCRIPTION_BYTES = 1 << 20
MAX_DESCRIPTION_ITEMS = 100_000
COMPRESSIONS = frozenset({"SNAPPY", "UNCOMPRESSED"})
"""What we write; neither makes more than some twenty bytes of one."""
MAX_SPAN_NS = 30 * 86_400 * 10**9
MAX_TOKENS = 1 << 20

SCHEMA = {
    "sample_index": "uint32",
    "issue_ns": "int64",
    "first_token_ns": "int64",
    "last_token_ns": "int64",
    "output_tokens": "uint32",
    "output_sha256": "fixed_size_binary[32]",
}
"""Columns and their Arrow types."""

Nanoseconds = npt.NDArray[np.int64]


class SamplesError(ValueError):
    """The file cannot be the records of the run; the text says why, without its path."""


@dataclass(frozen=True)
class Samples:
    """One entry a sample, in the order of completion. Times are monotonic nanoseconds."""

    index: npt.NDArray[np.uint32]
    issue_ns: Nanoseconds
    first_token_ns: Nanoseconds
    last_token_ns: Nanoseconds
    output_tokens: npt.NDArray[np.int64]
    answers: npt.NDArray[np.uint64] | None
    """First 64 bits of the SHA-256 of each answer's token ids; None if not asked for."""

    def __len__(self) -> int:
        return int(self.index.size)


def read_samples(path: Path, rows: int, *, answers: bool) -> Samples:
    """Reads a file that is to have ``rows`` samples, in memory that this number bounds.

    Size, row count, types and encodings are looked at before a row is read. ``answers``: with
    the hashes of the answers. Raises SamplesError.
    """
    import pyarrow as pa

    if not 0 < rows <= MAX_ROWS:
        raise SamplesError(f"{rows} samples: more than {MAX_ROWS}, or none")
    try:
        table = _read(path, rows, [name for name in SCHEMA if answers or name != "output_sha256"])
        samples = _samples(table, answers=answers)
    except SamplesError:
        raise
    except (OSError, ValueError, ArithmeticError, MemoryError, pa.ArrowException) as error:
        text = shortened(printable(str(error).replace(f"{path}", path.name)))
        raise SamplesError(f"not a Parquet file that can be read: {text}") from error
    _require_sense(samples)
    return samples


def _read(path: Path, rows: int, columns: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    with open_plain(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > rows * ROW_BYTES * 2 + SPARE_BYTES:
            raise SamplesError(f"{size} bytes: too large for {rows} samples")
        file = pq.ParquetFile(
            stream,
            thrift_string_size_limit=MAX_DESCRIPTION_BYTES,
            thrift_container_size_limit=MAX_DESCRIPTION_ITEMS,
        )
        _require_bounded(file.metadata, rows)
        if [(field.name, str(field.type)) for field in file.schema_arrow] != list(SCHEMA.items()):
            raise SamplesError("its columns are not those of samples.parquet")
        table = file.read(columns=columns, use_threads=False)
    if table.num_rows != rows:
        raise SamplesError(f"{table.num_rows} rows could be read of {rows}")
    return table


def _require_bounded(metadata: Any, rows: int) -> None:
    if metadata.num_rows != rows:
        raise SamplesError(f"{metadata.num_rows} rows, but the run had {rows} samples")
    if metadata.num_row_groups > MAX_ROW_GROUPS or metadata.num_columns != len(SCHEMA):
        raise SamplesError("too many row groups, or not its columns")
    counted = 0
    for group_index in range(metadata.num_row_groups):
        group = metadata.row_group(group_index)
        if not 0 <= group.num_rows <= rows:
            raise SamplesError("a row group of a senseless number of rows")
        counted += group.num_rows
        for column_index in range(group.num_columns):
            column = group.column(column_index)
            if column.compression not in COMPRESSIONS or column.num_values != group.num_rows:
                raise SamplesError("a column is compressed otherwise, or has other rows")
            if column.total_uncompressed_size > rows * ROW_BYTES + SPARE_BYTES:
                raise SamplesError("a column that is too large for its rows")
    if counted != rows:
        raise SamplesError("its row groups do not add up to its rows")


def _samples(table: pa.Table, *, answers: bool) -> Samples:
    if any(column.null_count for column in table.columns):
        raise SamplesError("a value is missing")

    def column(name: str, kind: str) -> npt.NDArray[Any]:
        # By its buffers: to_numpy() imports pandas, which takes longer than all the rest.
        return np.concatenate(
            [
                np.frombuffer(
                    chunk.buffers()[1], kind, len(chunk), chunk.offset * np.dtype(kind).itemsize
                )
                for chunk in table.column(name).chunks
            ]
        )

    hashes = column("output_sha256", "(4,)>u8") if answers else None
    return Samples(
        index=column("sample_index", "<u4"),
        issue_ns=column("issue_ns", "<i8"),
        first_token_ns=column("first_token_ns", "<i8"),
        last_token_ns=column("last_token_ns", "<i8"),
        output_tokens=column("output_tokens", "<u4").astype(np.int64),
        answers=None if hashes is None else hashes[:, 0].astype(np.uint64),
    )


def _require_sense(samples: Samples) -> None:
    """Moments in their order, on one clock, and answers of a length that exists."""
    begin, end = int(samples.issue_ns.min()), int(samples.last_token_ns.max())
    in_order = (samples.issue_ns <= samples.first_token_ns) & (
        samples.first_token_ns <= samples.last_token_ns
    )
    if begin < 0 or end - begin > MAX_SPAN_NS or not in_order.all():
        raise SamplesError("a sample ends before it begins, or at a time that no clock tells")
    if int(samples.output_tokens.max()) > MAX_TOKENS:
        raise SamplesError(f"an answer of more than {MAX_TOKENS} tokens")
