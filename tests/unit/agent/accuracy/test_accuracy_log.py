"""LoadGen's log of whole answers, and files that are none."""

from __future__ import annotations

import array
import json
from pathlib import Path

import pytest
from loadfleet_agent.accuracy.accuracy_log import LoggedAnswer, read_accuracy_log
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.failure import RunFailure


def _entry(index: int, tokens: list[int], sequence: int) -> dict[str, object]:
    data = array.array("i", tokens).tobytes().hex().upper()
    return {"seq_id": sequence, "qsl_idx": index, "data": data, "token_count": len(tokens)}


def test_entries_come_in_the_order_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "mlperf_log_accuracy.json"
    entries = [_entry(5, [1, 2, 70000], 0), _entry(3, [], 1), _entry(5, [9], 2)]
    log.write_text(json.dumps(entries))
    assert read_accuracy_log(log) == [
        LoggedAnswer(5, [1, 2, 70000], [], 3),
        LoggedAnswer(3, [], [], 0),
        LoggedAnswer(5, [9], [], 1),
    ]


def test_the_first_token_is_read_where_one_was_told(tmp_path: Path) -> None:
    log = tmp_path / "mlperf_log_accuracy.json"
    log.write_text(json.dumps([_entry(1, [4, 5], 0) | {"token_data": "04000000"}]))
    assert read_accuracy_log(log) == [LoggedAnswer(1, [4, 5], [4], 2)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[{",
        "{}x",
        '[{"qsl_idx": 1}]',
        '[{"qsl_idx": 1, "data": "0"}]',
        '[{"qsl_idx": 1, "data": "010203"}]',
        '[{"qsl_idx": 1, "data": "zz"}]',
        '[{"qsl_idx": "one", "data": ""}]',
        '[{"qsl_idx": 1, "data": "", "token_count": "many"}]',
        "[]",
        "[1]",
        "7",
    ],
)
def test_a_file_that_is_no_accuracy_log_is_refused(tmp_path: Path, content: str) -> None:
    log = tmp_path / "mlperf_log_accuracy.json"
    log.write_text(content)
    with pytest.raises(RunFailure, match="mlperf_log_accuracy.json") as caught:
        read_accuracy_log(log)
    assert caught.value.code is FailureCode.LOADGEN


def test_a_missing_accuracy_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFailure):
        read_accuracy_log(tmp_path / "none.json")
