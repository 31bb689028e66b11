"""samples.parquet of one LoadGen run, read as untrusted input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.run_folder import SAMPLES

from ..bounded_parquet import Layout, ParquetError, read_table

if TYPE_CHECKING:  # it takes a while, which a command that reads no samples does not wait for
    import pyarrow as pa

MAX_ROWS = 4_000_000
"""Two hours of 500 queries a second; 64 bytes each in memory."""
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
LAYOUT = Layout(
    name=SAMPLES,
    columns=SCHEMA,
    row_bytes=64,
    # What we write; neither makes more than some twenty bytes of one.
    compressions=frozenset({"SNAPPY", "UNCOMPRESSED"}),
)

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

    ``answers``: with the hashes of the answers. Raises SamplesError.
    """
    if not 0 < rows <= MAX_ROWS:
        raise SamplesError(f"{rows} samples: more than {MAX_ROWS}, or none")
    names = [name for name in SCHEMA if answers or name != "output_sha256"]
    try:
        samples = _samples(read_table(path, LAYOUT, rows, names), answers=answers)
    except (ParquetError, ValueError, MemoryError) as error:
        raise SamplesError(str(error)) from error
    _require_sense(samples)
    return samples


def _samples(table: pa.Table, *, answers: bool) -> Samples:
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
