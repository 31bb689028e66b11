"""LoadGen's logs: what six real submissions say, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import SEEDS_BY_ROUND
from loadfleet_agent.contract.loadgen_log import (
    LatencyNs,
    LoadgenLogError,
    LoadgenResult,
    read_loadgen_logs,
)

RUNS = (
    "gateoverflow-rtx4090x2-reference/offline",
    "intel-b60-edge/offline",
    "intel-b60-edge/singlestream",
    "nvidia-b200x8/interactive",
    "redhat-l40s/offline",
    "redhat-l40s/server",
)
DETAIL, SUMMARY = "mlperf_log_detail.txt", "mlperf_log_summary.txt"


@pytest.fixture(params=RUNS)
def real(request: pytest.FixtureRequest, mlperf_logs: Path) -> Path:
    folder: Path = mlperf_logs / request.param
    return folder


@pytest.fixture
def copied(tmp_path: Path, mlperf_logs: Path) -> Path:
    """A Server run's logs, to be damaged."""
    folder = tmp_path / "server"
    shutil.copytree(mlperf_logs / "redhat-l40s/server", folder)
    return folder


def _summary(folder: Path) -> str:
    return (folder / SUMMARY).read_text()


def _printed(folder: Path, pattern: str) -> float:
    (found,) = set(re.findall(rf"^{pattern}\s*: ([0-9.]+)$", _summary(folder), re.M))
    return float(found)


def _close(value: float | None, printed: float) -> bool:
    """Equal as far as the summary prints: two decimals or six digits."""
    return value is not None and abs(value - printed) <= max(0.00501, 1e-5 * printed)


def test_the_fixtures_are_all_real_logs(mlperf_logs: Path) -> None:
    found = {path.parent.relative_to(mlperf_logs).as_posix() for path in mlperf_logs.rglob(DETAIL)}
    assert found == set(RUNS)


def test_throughputs_equal_what_the_summary_prints(real: Path) -> None:
    result = read_loadgen_logs(real)
    samples, tokens = {
        "Offline": ("Samples per second", "Tokens per second"),
        "Server": ("Completed samples per second", "Completed tokens per second"),
        "SingleStream": (r"QPS w/ loadgen overhead", r"TPS w/ loadgen overhead"),
    }[result.scenario]
    assert _close(result.samples_per_second, _printed(real, samples))
    assert _close(result.tokens_per_second, _printed(real, tokens))
    if result.scenario == "Server":
        scheduled = _printed(real, "Scheduled samples per second")
        assert _close(result.scheduled_samples_per_second, scheduled)


def _printed_latencies(folder: Path, tail: str, extremes: str) -> LatencyNs | None:
    text = _summary(folder)
    percentiles = {
        name: int(value)
        for name, value in re.findall(rf"^([0-9.]+) percentile {tail}\s*: (\d+)$", text, re.M)
    }
    if not percentiles:
        return None

    def one(kind: str) -> int:
        (value,) = re.findall(rf"^{kind} {extremes} \(ns\)\s*: (\d+)$", text, re.M)
        return int(value)

    return LatencyNs(
        minimum=one("Min"), mean=one("Mean"), maximum=one("Max"), percentiles=percentiles
    )


def test_latencies_and_every_percentile_equal_what_the_summary_prints(real: Path) -> None:
    result = read_loadgen_logs(real)
    latency = _printed_latencies(real, r"latency \(ns\)", "latency")
    assert latency is not None
    assert len(latency.percentiles) == 6
    assert result.latency == latency
    ttft = _printed_latencies(real, r"first token latency \(ns\)", "First Token latency")
    tpot = _printed_latencies(real, r"time to output token \(ns\)", "Time to Output Token")
    assert (ttft is None) == (tpot is None) == (result.scenario == "Offline")
    assert result.ttft == ttft
    assert result.tpot == tpot


def test_settings_and_verdicts_equal_what_the_summary_prints(real: Path) -> None:
    result, text = read_loadgen_logs(real), _summary(real)

    def said(pattern: str) -> str:
        return re.findall(rf"^\s*{pattern}\s*: (.+?)\s*$", text, re.M)[0]

    assert result.scenario == said("Scenario")
    assert result.test_mode == said("Mode")
    assert result.sut_name == said("SUT name")
    assert result.valid is (said("Result is") == "VALID")
    assert result.min_duration_met is (said("Min duration satisfied") == "Yes")
    assert result.min_queries_met is (said("Min queries satisfied") == "Yes")
    assert result.early_stopping_met is (said("Early stopping satisfied") == "Yes")
    assert result.min_duration_ms == int(said(r"min_duration \(ms\)"))
    assert result.target_qps == pytest.approx(float(said("target_qps")), rel=1e-5)
    limits = (int(said(r"ttft_latency \(ns\)")), int(said(r"tpot_latency \(ns\)")))
    # Offline has no limits: the summary prints them all the same, the detail log does not.
    expected_limits = (None, None) if result.scenario == "Offline" else limits
    assert (result.ttft_limit_ns, result.tpot_limit_ns) == expected_limits
    assert result.performance_sample_count == int(said("performance_sample_count"))
    assert result.seeds.qsl == int(said("qsl_rng_seed"))
    assert result.seeds.sample_index == int(said("sample_index_rng_seed"))
    assert result.seeds.schedule == int(said("schedule_rng_seed"))
    assert "No errors encountered" in text
    assert (result.num_errors, result.errors, result.ended) == (0, (), True)


def test_all_are_of_round_5_1(real: Path) -> None:
    assert read_loadgen_logs(real).seeds == SEEDS_BY_ROUND["v5.1"]


def test_goes_through_json_unchanged(real: Path) -> None:
    result = read_loadgen_logs(real)
    assert LoadgenResult.model_validate_json(result.model_dump_json()) == result


# What is refused.


def _entries(folder: Path) -> list[str]:
    return (folder / DETAIL).read_text().splitlines(keepends=True)


def _set(folder: Path, key: str, value: Any) -> None:
    """Writes another value to a key of the detail log."""
    lines, changed = _entries(folder), 0
    for index, line in enumerate(lines):
        entry = json.loads(line.removeprefix(":::MLLOG "), strict=False)
        if entry["key"] == key:
            entry["value"] = value
            lines[index] = f":::MLLOG {json.dumps(entry)}\n"
            changed += 1
    assert changed, key
    (folder / DETAIL).write_text("".join(lines))


@pytest.mark.parametrize("name", [DETAIL, SUMMARY])
def test_an_absent_log_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(LoadgenLogError, match=name):
        read_loadgen_logs(copied)


@pytest.mark.parametrize("content", [b"", b"some text\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_loadgen_log_is_refused(copied: Path, content: bytes) -> None:
    (copied / DETAIL).write_bytes(content)
    with pytest.raises(LoadgenLogError, match=DETAIL):
        read_loadgen_logs(copied)


@pytest.mark.parametrize(("printed", "same"), [("30490.99", True), ("30489.20", False)])
def test_a_large_rate_is_logged_without_a_point(copied: Path, printed: str, same: bool) -> None:
    """LoadGen's detail log has six digits of 30490.99: 30491, which reads as an integer."""
    key, label = "result_scheduled_samples_per_sec", "Scheduled samples per second"
    detail = re.sub(rf'("{key}", "value": )[\d.]+', r"\g<1>30491", (copied / DETAIL).read_text())
    summary = re.sub(rf"({label} *: )[\d.]+", rf"\g<1>{printed}", (copied / SUMMARY).read_text())
    assert '"value": 30491' in detail
    assert printed in summary
    (copied / DETAIL).write_text(detail)
    (copied / SUMMARY).write_text(summary)
    if same:
        assert read_loadgen_logs(copied).scheduled_samples_per_second == 30491
        return
    with pytest.raises(LoadgenLogError, match=key):
        read_loadgen_logs(copied)


def test_an_empty_summary_is_refused(copied: Path) -> None:
    (copied / SUMMARY).write_text("")
    with pytest.raises(LoadgenLogError):
        read_loadgen_logs(copied)


def test_a_log_cut_within_a_line_is_refused(copied: Path) -> None:
    data = (copied / DETAIL).read_bytes()
    (copied / DETAIL).write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(LoadgenLogError, match=DETAIL):
        read_loadgen_logs(copied)


def test_a_log_cut_after_any_line_is_refused_or_known_as_broken_off(copied: Path) -> None:
    lines = _entries(copied)
    assert read_loadgen_logs(copied).ended
    for count in range(len(lines) - 1):
        (copied / DETAIL).write_text("".join(lines[:count]))
        try:
            ended = read_loadgen_logs(copied).ended
        except LoadgenLogError:
            continue
        assert not ended, f"taken as whole after {count} of {len(lines)} lines"


@pytest.mark.parametrize(
    "key",
    [
        "result_completed_samples_per_sec",
        "result_completed_tokens_per_second",
        "result_scheduled_samples_per_sec",
        "result_99.00_percentile_latency_ns",
        "result_first_token_99.00_percentile_latency_ns",
        "result_first_token_min_latency_ns",
        "result_time_per_output_token_99.00_percentile_ns",
        "result_time_to_output_token_mean",
        "effective_min_duration_ms",
        "effective_target_qps",
        "effective_qsl_rng_seed",
    ],
)
def test_a_number_that_contradicts_the_summary_is_refused(copied: Path, key: str) -> None:
    (line,) = (line for line in _entries(copied) if f'"key": "{key}"' in line)
    value = json.loads(line.removeprefix(":::MLLOG "))["value"]
    _set(copied, key, type(value)(value * 1.02))
    with pytest.raises(LoadgenLogError):
        read_loadgen_logs(copied)


def test_a_throughput_is_refused_just_beyond_what_printing_explains(copied: Path) -> None:
    printed = _printed(copied, "Completed tokens per second")
    _set(copied, "result_completed_tokens_per_second", printed + 0.004)
    read_loadgen_logs(copied)
    _set(copied, "result_completed_tokens_per_second", printed + 0.05)
    with pytest.raises(LoadgenLogError, match="result_completed_tokens_per_second"):
        read_loadgen_logs(copied)


def test_a_validity_that_contradicts_the_summary_is_refused(copied: Path) -> None:
    _set(copied, "result_validity", "INVALID")
    with pytest.raises(LoadgenLogError, match="result_validity INVALID"):
        read_loadgen_logs(copied)


def test_a_summary_that_claims_validity_is_refused(copied: Path) -> None:
    summary = copied / SUMMARY
    summary.write_text(summary.read_text().replace("Result is : VALID", "Result is : INVALID"))
    with pytest.raises(LoadgenLogError, match="says INVALID"):
        read_loadgen_logs(copied)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("generated_query_count", None),
        ("generated_query_count", float("inf")),
        ("generated_query_count", [1]),
        ("effective_scenario", "MultiStream"),
        ("effective_target_qps", "fast"),
        ("effective_target_qps", float("nan")),
        ("effective_qsl_rng_seed", {}),
        ("result_99.00_percentile_latency_ns", float("inf")),
        ("result_completed_samples_per_sec", "many"),
        ("result_min_duration_met", "perhaps"),
        ("num_errors", "none"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused(copied: Path, key: str, value: Any) -> None:
    _set(copied, key, value)
    with pytest.raises(LoadgenLogError):
        read_loadgen_logs(copied)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "1",
        "{}",
        '{"key": "x", "value": 1}',
        '{"key": "x", "value": 1, "metadata": null}',
        '{"key": "x", "value": 1, "metadata": []}',
        '{"key": [], "value": 1, "metadata": {}}',
    ],
)
def test_a_line_of_another_shape_is_refused_with_its_number(copied: Path, line: str) -> None:
    lines = _entries(copied)
    (copied / DETAIL).write_text("".join([f":::MLLOG {line}\n", *lines]))
    with pytest.raises(LoadgenLogError, match=rf"{DETAIL}:1\b"):
        read_loadgen_logs(copied)


def test_a_logged_error_counts_even_if_loadgen_counts_none(copied: Path) -> None:
    lines = _entries(copied)
    entry = {
        "key": "error_invalid_config",
        "value": "something went wrong",
        "metadata": {"is_error": True, "is_warning": False},
    }
    lines.insert(-1, f":::MLLOG {json.dumps(entry)}\n")
    (copied / DETAIL).write_text("".join(lines))
    result = read_loadgen_logs(copied)
    assert result.num_errors == 1
    assert result.errors == ("error_invalid_config: something went wrong",)
