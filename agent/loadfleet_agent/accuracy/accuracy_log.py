"""Reads mlperf_log_accuracy.json, LoadGen's log of whole answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..contract.status import FailureCode
from ..failure import RunFailure


@dataclass(frozen=True)
class LoggedAnswer:
    """One entry; an accuracy run logs one for each sample, a performance run for some."""

    sample_index: int
    tokens: list[int]
    first_token: list[int]
    """What was told as the first token: one id; empty where none is told (Offline)."""
    token_count: int | None
    """As it was told with the answer; None in the logs of older LoadGens."""


def read_accuracy_log(path: Path) -> list[LoggedAnswer]:
    """All entries in the order of the log; token ids are 32 bit, little-endian, in hex.

    Raises RunFailure (loadgen) if it is not a whole accuracy log.
    """
    try:
        answers = [
            LoggedAnswer(
                sample_index=int(entry["qsl_idx"]),
                tokens=_ids(entry["data"]),
                first_token=_ids(entry.get("token_data", "")),
                token_count=int(entry["token_count"]) if "token_count" in entry else None,
            )
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailure(FailureCode.LOADGEN, f"{path}: not an accuracy log: {error!r}") from error
    if not answers:
        raise RunFailure(FailureCode.LOADGEN, f"{path}: no answer in it")
    return answers


def _ids(text: str) -> list[int]:
    ids: list[int] = np.frombuffer(bytes.fromhex(text), dtype="<i4").tolist()
    return ids
