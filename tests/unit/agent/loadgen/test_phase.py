"""One LoadGen phase over a scripted engine: its records, its verdict, its failures."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.gate import GateRule
from loadfleet_agent.contract.result import PhaseResult
from loadfleet_agent.contract.run_folder import ENGINE_LOAD, file_sha256
from loadfleet_agent.contract.status import FailureCode

from ..helpers import plan_of
from .processes import ALL, run_phase_apart

Kind = tuple[Suite, Scenario, Mode]
EACH_WAY = [
    (Suite.DATACENTER, Scenario.OFFLINE, Mode.PERFORMANCE),
    (Suite.DATACENTER, Scenario.OFFLINE, Mode.ACCURACY),
    (Suite.DATACENTER, Scenario.SERVER, Mode.PERFORMANCE),
    (Suite.DATACENTER, Scenario.SERVER, Mode.ACCURACY),
    (Suite.DATACENTER, Scenario.INTERACTIVE, Mode.TEST06),
    (Suite.EDGE, Scenario.SINGLE_STREAM, Mode.PERFORMANCE),
]
"""Each scenario of LoadGen's and each mode: how a phase fails differs by these alone."""


def _run(folder: Path, behaviour: str, kind: Kind) -> dict[str, Any]:
    suite, scenario, mode = kind
    return run_phase_apart(plan_of(suite), behaviour, scenario, mode, folder)


def _answer_length(index: int) -> int:
    return 3 + index % 7


@pytest.fixture(scope="module", params=ALL, ids=lambda item: "-".join(item))
def good(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PhaseResult, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("good") / "phase"
    outcome = _run(folder, "answers", request.param)
    return PhaseResult.model_validate(outcome["result"]), folder, outcome


Good = tuple[PhaseResult, Path, dict[str, Any]]


def test_a_good_phase_is_valid(good: Good) -> None:
    result, _, _ = good
    assert result.gate == ()
    assert result.valid
    assert result.loadgen.num_errors == 0
    assert result.started_utc < result.ended_utc


def test_the_load_of_the_engine_is_kept_and_hashed(good: Good) -> None:
    result, folder, outcome = good
    told = [json.loads(line) for line in (folder / ENGINE_LOAD).read_text("utf-8").splitlines()]
    assert told[-1]["running"] == outcome["asked"]
    assert result.files[ENGINE_LOAD] == file_sha256(folder / ENGINE_LOAD)
    assert all(result.started_utc <= datetime.fromisoformat(line["at_utc"]) for line in told)


def test_samples_parquet_has_a_row_a_sample_with_sane_times(good: Good) -> None:
    result, folder, outcome = good
    table = pq.read_table(folder / "samples.parquet")
    assert table.num_rows == result.loadgen.sample_count == result.samples == outcome["asked"]
    index = table["sample_index"].to_numpy()
    counts = Counter(index.tolist())
    assert set(counts) <= set(range(64))
    if result.mode is not Mode.TEST06:
        assert len(counts) == 64
    if result.mode is Mode.ACCURACY:
        assert set(counts.values()) == {1}
    issue, first, last = (
        table[name].to_numpy() for name in ("issue_ns", "first_token_ns", "last_token_ns")
    )
    assert (issue > 0).all()
    assert (issue <= first).all()
    assert (first <= last).all()
    whole_ns = (result.ended_utc - result.started_utc).total_seconds() * 1e9
    assert last.max() - issue.min() <= whole_ns
    if result.scenario.streams:
        assert len(np.unique(issue)) > 1
        assert (first < last).any()
    assert table["output_tokens"].to_pylist() == [_answer_length(i) for i in index]
    assert [item.hex() for item in table["output_sha256"].to_pylist()] == [
        outcome["hashes"][i] for i in index
    ]


def test_distributions_are_those_of_the_records(good: Good) -> None:
    result, folder, _ = good
    table = pq.read_table(folder / "samples.parquet")
    tokens = table["output_tokens"].to_numpy()
    assert result.output_tokens.count == len(tokens)
    assert result.output_tokens.mean == pytest.approx(tokens.mean())
    assert (result.output_tokens.minimum, result.output_tokens.maximum) == (3, 9)
    latency = table["last_token_ns"].to_numpy() - table["issue_ns"].to_numpy()
    assert result.latency_from_issue_ns.maximum == latency.max()
    assert result.latency_from_issue_ns.mean == pytest.approx(latency.mean())
    ttft = result.ttft_from_issue_ns
    assert (ttft is None) == (result.scenario is Scenario.OFFLINE)
    if ttft is not None:
        first = table["first_token_ns"].to_numpy() - table["issue_ns"].to_numpy()
        assert ttft.maximum == first.max()


def test_loadgen_counts_the_same_tokens(good: Good) -> None:
    result, folder, _ = good
    if result.mode is not Mode.PERFORMANCE:
        entries = json.loads((folder / "mlperf_log_accuracy.json").read_text())
        assert len(entries) == (64 if result.mode is Mode.ACCURACY else 100)
        for entry in entries:
            assert len(entry["data"]) // 8 == _answer_length(entry["qsl_idx"])
            data = bytes.fromhex(entry["data"])
            assert int.from_bytes(data[:4], "little") == entry["qsl_idx"]
        return
    loadgen = result.loadgen
    assert loadgen.tokens_per_second
    assert loadgen.samples_per_second
    mean = loadgen.tokens_per_second / loadgen.samples_per_second
    if result.scenario.streams:  # samples per second counts the intervals between them
        mean *= 1 - 1 / result.samples
    assert mean == pytest.approx(result.output_tokens.mean, rel=0.005)


def test_the_scenario_decides_whether_tokens_are_streamed(good: Good) -> None:
    result, _, outcome = good
    assert outcome["streamed"] == [result.scenario.streams]
    assert outcome["distinct_request_ids"] == outcome["asked"]


def test_the_phases_files_are_hashed(good: Good) -> None:
    result, folder, _ = good
    assert set(result.files) == {
        "mlperf_log_detail.txt",
        "mlperf_log_summary.txt",
        "mlperf_log_accuracy.json",
        "user.conf",
        "samples.parquet",
        "engine_load.jsonl",
        *(["audit.config", "verify_accuracy.txt"] if result.mode is Mode.TEST06 else []),
    }
    for name, sha256 in result.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    assert {path.name for path in folder.iterdir()} == {*result.files, "phase.json"}
    assert PhaseResult.model_validate_json((folder / "phase.json").read_bytes()) == result


@pytest.mark.parametrize("kind", EACH_WAY, ids="-".join)
@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ("dies", FailureCode.ENGINE_DIED, "the core is gone"),
        ("dies-within", FailureCode.ENGINE_DIED, "the core is gone"),
        ("breaks", FailureCode.INTERNAL, "ZeroDivisionError: a fault of the engine"),
        ("hangs", FailureCode.STOPPED, "stopped by the test"),
        ("loop-closed", FailureCode.INTERNAL, "loop is closed"),
    ],
)
def test_a_failing_engine_ends_the_phase_with_the_reason_and_no_crash(
    tmp_path: Path,
    behaviour: str,
    code: FailureCode,
    words: str,
    kind: Kind,
) -> None:
    outcome = _run(tmp_path / "phase", behaviour, kind)
    assert "result" not in outcome
    assert outcome["failure"]["code"] == code
    assert words in outcome["failure"]["message"]
    assert not (tmp_path / "phase" / "phase.json").exists()
    # LoadGen came to its own end and wrote its log: nothing broke off inside it.
    assert "power_end" in (tmp_path / "phase" / "mlperf_log_detail.txt").read_text()


@pytest.mark.parametrize("behaviour", ["silent", "one-token"])
@pytest.mark.parametrize("kind", EACH_WAY, ids="-".join)
def test_answers_too_short_are_never_valid(tmp_path: Path, behaviour: str, kind: Kind) -> None:
    outcome = _run(tmp_path / "phase", behaviour, kind)
    if "failure" in outcome:
        assert outcome["failure"]["code"] == FailureCode.LOADGEN
        return
    result = PhaseResult.model_validate(outcome["result"])
    assert GateRule.TOKEN_COUNT in [finding.rule for finding in result.gate]


@pytest.mark.parametrize("scenario", [Scenario.OFFLINE, Scenario.SERVER, Scenario.INTERACTIVE])
def test_answers_with_two_ends_fail_test06(tmp_path: Path, scenario: Scenario) -> None:
    outcome = _run(tmp_path / "phase", "two-ends", (Suite.DATACENTER, scenario, Mode.TEST06))
    result = PhaseResult.model_validate(outcome["result"])
    assert result.test06 is not None
    assert not result.test06.eos
    assert [finding.rule for finding in result.gate] == [GateRule.TEST06]
    text = (tmp_path / "phase" / "verify_accuracy.txt").read_text()
    assert "EOS check pass: False\n" in text
    assert "TEST06 verification failed\n" in text


def test_a_phase_begins_with_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "phase"
    folder.mkdir()
    for name in ("phase.json", "audit.config", "mlperf_log_detail.txt", "accuracy.txt"):
        (folder / name).write_text("left by another attempt")
    outcome = _run(folder, "answers", (Suite.DATACENTER, Scenario.OFFLINE, Mode.PERFORMANCE))
    assert PhaseResult.model_validate(outcome["result"]).valid
    assert not (folder / "audit.config").exists()
    assert not (folder / "accuracy.txt").exists()
