"""What an engine was busy with during one LoadGen run, read as untrusted input."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.files import open_plain

MAX_BYTES = 64 << 20
"""A week at one line a second."""
MAX_LINE_BYTES = 4096
MOST_REQUESTS = 1e9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EngineLoads:
    """In the order of the file; NaN where the engine did not say. All arrays: (moments,)."""

    at_s: Floats
    """POSIX time by the host's clock."""
    running: Floats
    waiting: Floats
    kv_cache: Floats


def read_engine_load(path: Path) -> EngineLoads | None:
    """None if there is no such file. Lines that are cut off, too long or senseless are left out."""
    rows: list[tuple[float, float, float, float]] = []
    try:
        with open_plain(path) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                return None
            while line := stream.readline(MAX_LINE_BYTES):
                row = _row(line)
                if row is not None:
                    rows.append(row)
    except OSError:
        return None
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 4).T
    return EngineLoads(*columns)


def _row(line: bytes) -> tuple[float, float, float, float] | None:
    try:
        told = json.loads(line)
        at = datetime.fromisoformat(told["at_utc"])
        if at.tzinfo is None:  # it would be a time of the controller's own zone
            return None
        return (
            at.timestamp(),
            _number(told.get("running"), MOST_REQUESTS),
            _number(told.get("waiting"), MOST_REQUESTS),
            _number(told.get("kv_cache"), 1.0),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        return math.nan
    return float(value)
