"""TEST06 as MLPerf's script judges it, on answers that are right and wrong in each way.

The expected words are those of ``compliance/TEST06/run_verification.py`` (mlcommons/inference at
b66003e1) for the same logs with its end-of-sequence id set to the one here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loadfleet_agent.accuracy.accuracy_log import LoggedAnswer, read_accuracy_log
from loadfleet_agent.accuracy.test06 import verify_test06, verify_text
from loadfleet_agent.contract.benchmark import Scenario

EOS = 9
GOOD = [[5, 6, 7, EOS], [5, 6, 7], [EOS, 5]]


def log(path: Path, answers: list[list[int]], first: int | None = None, extra: int = 0) -> Path:
    """An accuracy log as LoadGen writes it, with one first token told for all if given."""

    def text(ids: list[int]) -> str:
        return b"".join(token.to_bytes(4, "little") for token in ids).hex().upper()

    entries = [
        {
            "seq_id": index,
            "qsl_idx": index,
            "data": text(ids),
            "token_data": text([ids[0] if first is None else first]),
            "token_count": len(ids) + extra,
        }
        for index, ids in enumerate(answers)
    ]
    path.write_text(json.dumps(entries))
    return path


def said(answers: list[LoggedAnswer], scenario: Scenario) -> str:
    return verify_text(verify_test06(answers, scenario, [EOS]))


@pytest.mark.parametrize(
    ("answers", "first", "extra", "words"),
    [
        (GOOD, None, 0, (True, True, True, "complete")),
        ([[5, 6], [5, 6, EOS, EOS]], None, 0, (True, False, True, "failed")),
        ([[EOS, EOS]], None, 0, (True, True, True, "complete")),
        ([[EOS, 5, EOS, 6, EOS]], None, 0, (True, True, True, "complete")),
        (GOOD, 4, 0, (False, True, True, "failed")),
        (GOOD, None, 1, (True, True, False, "failed")),
    ],
)
def test_each_check_fails_alone(
    tmp_path: Path,
    answers: list[list[int]],
    first: int | None,
    extra: int,
    words: tuple[bool, bool, bool, str],
) -> None:
    logged = read_accuracy_log(log(tmp_path / "log.json", answers, first, extra))
    told, eos, length, end = words
    assert said(logged, Scenario.SERVER) == (
        f"First token check pass: {told}\nEOS check pass: {eos}\n"
        f"Sample length check pass: {length}\nTEST06 verification {end}\n"
    )


def test_offline_tells_no_first_token(tmp_path: Path) -> None:
    logged = read_accuracy_log(log(tmp_path / "log.json", GOOD, first=4))
    assert said(logged, Scenario.OFFLINE).startswith("First token check pass: Skipped\n")
    assert verify_test06(logged, Scenario.OFFLINE, [EOS]).passed
