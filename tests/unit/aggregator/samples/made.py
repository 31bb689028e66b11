"""Records of runs as an agent writes them, with times and answers that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from loadfleet_aggregator.samples.read import Samples

SECOND = 10**9
TYPES = {
    "sample_index": pa.uint32(),
    "issue_ns": pa.int64(),
    "first_token_ns": pa.int64(),
    "last_token_ns": pa.int64(),
    "output_tokens": pa.uint32(),
    "output_sha256": pa.binary(32),
}
"""Of the columns that an agent writes."""


def columns(count: int = 4) -> dict[str, Any]:
    """A table's columns, of samples that end a second apart."""
    last = np.arange(1, count + 1) * SECOND
    return {
        "sample_index": np.arange(count, dtype=np.uint32),
        "issue_ns": np.zeros(count, dtype=np.int64),
        "first_token_ns": last - SECOND // 2,
        "last_token_ns": last,
        "output_tokens": np.full(count, 3, dtype=np.uint32),
        "output_sha256": [bytes([index % 256] * 32) for index in range(count)],
    }


def write(path: Path, told: dict[str, Any], **types: pa.DataType) -> Path:
    """samples.parquet of these columns; ``types``: of columns that have another one."""
    kinds = TYPES | types
    table = pa.table({name: pa.array(values, kinds[name]) for name, values in told.items()})
    pq.write_table(table, path)
    return path


def samples_of(
    latencies_ns: Sequence[int], *, tokens: Sequence[int] | None = None, ttft: float = 0.5
) -> Samples:
    """Samples that begin at 0; their first token comes after a share ``ttft`` of the latency."""
    last = np.array(latencies_ns, dtype=np.int64)
    return Samples(
        index=np.arange(last.size, dtype=np.uint32),
        issue_ns=np.zeros(last.size, dtype=np.int64),
        first_token_ns=(last * ttft).astype(np.int64),
        last_token_ns=last,
        output_tokens=np.array(tokens or [3] * last.size, dtype=np.int64),
        answers=None,
    )


def later(samples: Samples, ns: int) -> Samples:
    """The same on a clock that is so much ahead."""
    return replace(
        samples,
        issue_ns=samples.issue_ns + ns,
        first_token_ns=samples.first_token_ns + ns,
        last_token_ns=samples.last_token_ns + ns,
    )
