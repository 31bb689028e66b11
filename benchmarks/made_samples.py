"""The files of a made-up host that have a row for each sample or second of a LoadGen run."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

OTHER_ANSWERS = 0.01
"""Share of a host's answers that are not those of most: another batch rounds otherwise."""
LOADGEN_LATER_NS = 1_000_000
"""By which LoadGen's latency is longer than the agent's, which begins later and ends sooner."""
PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class MadeSamples:
    """As the agent records them; arrays of equal length, hashes of shape (samples, 32)."""

    issue_ns: int
    first: Numbers
    """Nanoseconds after the issue, as ``last``."""
    last: Numbers
    tokens: Numbers
    hashes: npt.NDArray[np.uint8]

    @property
    def length_s(self) -> float:
        return float(self.last.max()) / 1e9


def make_samples(seed_file: bytes, samples: int, length_s: float) -> MadeSamples:
    """The seed's samples, one copy after the other, over so many seconds."""
    issue_ns, first, last, tokens, hashes = _repeated(seed_file, samples)
    scale = length_s * 1e9 / float(last.max())
    return MadeSamples(
        issue_ns,
        (first * scale).astype(np.int64),
        (last * scale).astype(np.int64),
        tokens,
        hashes,
    )


@cache
def _repeated(
    seed_file: bytes, samples: int
) -> tuple[int, Numbers, Numbers, Numbers, npt.NDArray[np.uint8]]:
    table = pq.read_table(io.BytesIO(seed_file))
    issue = table["issue_ns"].to_numpy()
    first = table["first_token_ns"].to_numpy() - issue
    last = table["last_token_ns"].to_numpy() - issue
    rounds = math.ceil(samples / len(issue))
    step = int(np.percentile(last, 99))
    offsets = np.repeat(np.arange(rounds) * step, len(issue))[:samples]
    return (
        int(issue[0]),
        np.tile(first, rounds)[:samples] + offsets,
        np.tile(last, rounds)[:samples] + offsets,
        np.tile(table["output_tokens"].to_numpy(), rounds)[:samples],
        np.random.default_rng(0).integers(0, 256, (samples, 32), dtype=np.uint8),
    )


def with_other_answers(made: MadeSamples, generator: np.random.Generator) -> MadeSamples:
    """Some answers are others, each one of the two that other hosts may give too."""
    hashes = made.hashes.copy()
    others = np.flatnonzero(generator.random(len(hashes)) < OTHER_ANSWERS)
    hashes[others, 0] ^= generator.integers(1, 3, others.size, dtype=np.uint8)
    return MadeSamples(made.issue_ns, made.first, made.last, made.tokens, hashes)


def write_samples(path: Path, made: MadeSamples) -> None:
    """samples.parquet."""
    count = len(made.tokens)
    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), count, [None, pa.py_buffer(made.hashes.tobytes())]
    )
    columns = {
        "sample_index": pa.array(np.arange(count, dtype=np.uint32)),
        "issue_ns": pa.array(np.full(count, made.issue_ns)),
        "first_token_ns": pa.array(made.issue_ns + made.first),
        "last_token_ns": pa.array(made.issue_ns + made.last),
        "output_tokens": pa.array(made.tokens),
        "output_sha256": hashes,
    }
    pq.write_table(pa.table(columns), path)


def engine_load(made: MadeSamples, started: datetime, batch: int) -> Iterable[str]:
    """Lines of engine_load.jsonl: what is not done runs, as far as the batch has room."""
    ends = np.sort(made.last)
    for second in range(1, math.ceil(made.length_s) + 1):
        left = len(ends) - int(np.searchsorted(ends, second * 1e9, side="right"))
        running = min(batch, left)
        at = started + timedelta(seconds=second)
        told = {
            "at_utc": at.isoformat(),
            "running": running,
            "waiting": left - running,
            "kv_cache": round(0.9 * running / batch, 4),
        }
        yield json.dumps(told, separators=(",", ":"))


def loadgen_latencies(made: MadeSamples) -> dict[str, int]:
    """What LoadGen would have logged: name in the summary to nanoseconds."""
    ordered = np.sort(made.last) + LOADGEN_LATER_NS
    told = {
        "Min": int(ordered[0]),
        "Max": int(ordered[-1]),
        "Mean": int(ordered.sum()) // len(ordered),
    }
    ranks = {name: int(len(ordered) * float(name) / 100) for name in PERCENTILES}
    return told | {f"{name} percentile": int(ordered[rank]) for name, rank in ranks.items()}
