"""Reads LoadGen's own logs: mlperf_log_detail.txt and mlperf_log_summary.txt.

The detail log holds one JSON object a line behind ``:::MLLOG``; its floating point values
have six significant digits. The summary is text for people and prints throughputs with more
digits, so throughputs are taken from it, and the two are checked against each other.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from .base import Count, Frozen, Integer, Line, Rate, Text
from .benchmark import Seeds
from .files import read_plain

_MARK = ":::MLLOG "
_PERCENTILES = {
    "latency": re.compile(r"^result_(\d+\.\d+)_percentile_latency_ns$"),
    "first token latency": re.compile(r"^result_first_token_(\d+\.\d+)_percentile_latency_ns$"),
    "time to output token": re.compile(r"^result_time_per_output_token_(\d+\.\d+)_percentile_ns$"),
}
"""Kind of latency, in the summary's words, to the keys of its percentiles in the detail log."""
PERCENTILES = ("50.00", "90.00", "99.00", "99.90")
"""Those of LoadGen's that are read; it logs them all, in every scenario."""
MAX_LOG_BYTES = 16 << 20
_SIX_DIGITS = 1.5e-5  # relative error of a value that was printed with six significant digits


class LoadgenLogError(ValueError):
    """A LoadGen log that is absent, cut off, or not a LoadGen log; the text says which file."""


class LatencyNs(Frozen):
    """LoadGen's statistics of one latency, in nanoseconds. Percentiles by name, "99.00"."""

    minimum: Integer
    mean: Integer
    maximum: Integer
    percentiles: dict[Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,4}$")], Integer] = Field(
        max_length=20
    )

    @model_validator(mode="after")
    def _has_those_in_use(self) -> LatencyNs:
        if missing := [name for name in PERCENTILES if name not in self.percentiles]:
            raise ValueError(f"has no {missing[0]} percentile")
        return self


class LoadgenResult(Frozen):
    """The numbers of one LoadGen run, as LoadGen logged them."""

    loadgen_version: Line
    scenario: Line
    test_mode: Line = Field(description="PerformanceOnly or AccuracyOnly")
    sut_name: Line
    seeds: Seeds
    use_token_latencies: bool
    target_qps: Rate
    min_duration_ms: Count
    performance_sample_count: Count
    sample_count: Count = Field(description="samples issued in the whole run")
    ttft_limit_ns: Count | None
    tpot_limit_ns: Count | None
    valid: bool | None = Field(description="LoadGen's 'Result is'; None in accuracy mode")
    min_duration_met: bool | None
    min_queries_met: bool | None
    early_stopping_met: bool | None
    performance_constraints_met: bool | None
    samples_per_second: Rate | None
    tokens_per_second: Rate | None
    scheduled_samples_per_second: Rate | None
    latency: LatencyNs | None
    ttft: LatencyNs | None
    tpot: LatencyNs | None
    early_stopping_ttft: Text
    early_stopping_tpot: Text
    errors: tuple[Line, ...] = Field(
        max_length=20, description="first 20 messages that LoadGen marked as error"
    )
    num_errors: Count
    num_warnings: Count
    ended: bool = Field(description="LoadGen wrote its last lines: the run was not broken off")

    @model_validator(mode="after")
    def _tells_of_tokens_whole(self) -> LoadgenResult:
        if (self.ttft is None) != (self.tpot is None):
            raise ValueError(
                "has one of the times to first and to further tokens without the other"
            )
        return self


def read_loadgen_logs(folder: Path) -> LoadgenResult:
    """Parses the detail and summary logs of one run.

    Raises LoadgenLogError if one is absent, malformed, or if the two contradict each other.
    """
    detail_path = folder / "mlperf_log_detail.txt"
    summary_path = folder / "mlperf_log_summary.txt"
    values, errors, warnings = _read_detail(detail_path)
    summary = _read_summary(summary_path)
    try:
        return _interpret(values, errors, warnings, summary, detail_path)
    except LoadgenLogError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LoadgenLogError(
            f"{detail_path}: not a whole LoadGen log: {where}: {first['msg']}"
        ) from error
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LoadgenLogError(f"{detail_path}: not a whole LoadGen log: {error!r}") from error


def _read_text(path: Path) -> str:
    try:
        return read_plain(path, MAX_LOG_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise LoadgenLogError(f"{path}: {error.strerror}") from error


def _read_detail(path: Path) -> tuple[dict[str, Any], list[str], int]:
    """Last value of each key, the messages of errors, and the number of warnings."""
    values: dict[str, Any] = {}
    errors: list[str] = []
    warnings = 0
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line.startswith(_MARK):
            continue
        try:
            entry = json.loads(line[len(_MARK) :], strict=False)
            key, value, metadata = entry["key"], entry["value"], entry["metadata"]
            if not isinstance(key, str):
                raise TypeError("its key is no text")
            marked_error = bool(metadata.get("is_error"))
            marked_warning = bool(metadata.get("is_warning"))
            told = f"{key}: {value}"[:300] if marked_error else ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LoadgenLogError(f"{path}:{number}: not a LoadGen line: {error!r}") from error
        if marked_error:
            errors.append(told)
        elif marked_warning:
            warnings += 1
        values[key] = value
    if not values:
        raise LoadgenLogError(f"{path}: no LoadGen line in it")
    return values, errors, warnings


def _read_summary(path: Path) -> dict[str, str]:
    """Key to value of every ``key : value`` line; the first one counts."""
    found: dict[str, str] = {}
    for line in _read_text(path).splitlines():
        # No pattern: with two runs of spaces side by side it would take a minute over a long line.
        key, colon, value = line.partition(":")
        if key.strip() and colon and value.startswith(" ") and value.strip():
            found.setdefault(key.strip(), value[1:].rstrip())
    return found


def _interpret(
    values: dict[str, Any],
    errors: list[str],
    warnings: int,
    summary: dict[str, str],
    path: Path,
) -> LoadgenResult:
    scenario = str(values["effective_scenario"])
    performance = values["effective_test_mode"] == "PerformanceOnly"
    validity = values.get("result_validity")
    throughput_keys = {
        "Offline": ("result_samples_per_second", "Samples per second"),
        "Server": ("result_completed_samples_per_sec", "Completed samples per second"),
        "SingleStream": ("result_qps_with_loadgen_overhead", "QPS w/ loadgen overhead"),
    }
    token_keys = {
        "Offline": ("result_tokens_per_second", "Tokens per second"),
        "Server": ("result_completed_tokens_per_second", "Completed tokens per second"),
        "SingleStream": (
            "result_token_throughput_with_loadgen_overhead",
            "TPS w/ loadgen overhead",
        ),
    }
    if performance and validity is not None:
        said = summary.get("Result is")
        if said != validity:
            raise LoadgenLogError(
                f"{path}: result_validity {validity}, but the summary says {said}"
            )
    _require_agreement(values, summary, path)
    return LoadgenResult(
        loadgen_version=str(values["loadgen_version"]),
        scenario=scenario,
        test_mode=str(values["effective_test_mode"]),
        sut_name=str(values["sut_name"]),
        seeds=Seeds(
            qsl=values["effective_qsl_rng_seed"],
            sample_index=values["effective_sample_index_rng_seed"],
            schedule=values["effective_schedule_rng_seed"],
        ),
        use_token_latencies=bool(values.get("requested_use_token_latencies", False)),
        target_qps=float(values["effective_target_qps"]),
        min_duration_ms=int(values["effective_min_duration_ms"]),
        performance_sample_count=int(values["effective_performance_sample_count"]),
        sample_count=int(values["generated_query_count"])
        * int(values["generated_samples_per_query"]),
        ttft_limit_ns=_optional_int(values.get("requested_server_ttft_latency")),
        tpot_limit_ns=_optional_int(values.get("requested_server_tpot_latency")),
        valid=None if validity is None else validity == "VALID",
        min_duration_met=values.get("result_min_duration_met"),
        min_queries_met=values.get("result_min_queries_met"),
        early_stopping_met=values.get("early_stopping_met"),
        performance_constraints_met=values.get("result_perf_constraints_met"),
        samples_per_second=_throughput(values, summary, *throughput_keys[scenario], path),
        tokens_per_second=_throughput(values, summary, *token_keys[scenario], path),
        scheduled_samples_per_second=values.get("result_scheduled_samples_per_sec"),
        latency=_latency(values, "latency", "result_{}_latency_ns"),
        ttft=_latency(values, "first token latency", "result_first_token_{}_latency_ns"),
        tpot=_latency(values, "time to output token", "result_time_to_output_token_{}"),
        early_stopping_ttft=str(values.get("early_stopping_ttft_result", "")).strip(),
        early_stopping_tpot=str(values.get("early_stopping_tpot_result", "")).strip(),
        errors=tuple(errors[:20]),
        num_errors=max(int(values.get("num_errors", 0)), len(errors)),
        num_warnings=warnings,
        ended="power_end" in values and (not performance or "num_errors" in values),
    )


_IN_SUMMARY = {
    "result_scheduled_samples_per_sec": "Scheduled samples per second",
    "result_min_latency_ns": "Min latency (ns)",
    "result_max_latency_ns": "Max latency (ns)",
    "result_mean_latency_ns": "Mean latency (ns)",
    "result_first_token_min_latency_ns": "Min First Token latency (ns)",
    "result_first_token_max_latency_ns": "Max First Token latency (ns)",
    "result_first_token_mean_latency_ns": "Mean First Token latency (ns)",
    "result_time_to_output_token_min": "Min Time to Output Token (ns)",
    "result_time_to_output_token_max": "Max Time to Output Token (ns)",
    "result_time_to_output_token_mean": "Mean Time to Output Token (ns)",
    "effective_target_qps": "target_qps",
    "effective_min_duration_ms": "min_duration (ms)",
    "effective_qsl_rng_seed": "qsl_rng_seed",
    "effective_sample_index_rng_seed": "sample_index_rng_seed",
    "effective_schedule_rng_seed": "schedule_rng_seed",
    "effective_performance_sample_count": "performance_sample_count",
}


def _require_agreement(values: dict[str, Any], summary: dict[str, str], path: Path) -> None:
    """Every number that both logs hold is the same in both."""
    pairs = dict(_IN_SUMMARY)
    for kind, pattern in _PERCENTILES.items():
        for key in values:
            if match := pattern.match(key):
                pairs[key] = f"{match[1]} percentile {kind} (ns)"
    for key, text in pairs.items():
        if key in values and text in summary:
            _require_same(key, values[key], summary[text], path)


def _require_same(key: str, logged: Any, printed: str, path: Path) -> None:
    """The summary prints integers whole, other numbers with two decimals or six digits.

    The detail log has six digits of such a number, of a large one without a point.
    """
    if isinstance(logged, int) and "." not in printed:
        same = int(printed) == logged
    else:
        tolerance = max(abs(float(logged)) * _SIX_DIGITS, 0.00501)
        same = abs(float(printed) - float(logged)) <= tolerance
    if not same:
        raise LoadgenLogError(f"{path}: {key} is {logged}, the summary says {printed}")


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _latency(values: dict[str, Any], kind: str, key: str) -> LatencyNs | None:
    """``key`` is that of the minimum, mean and maximum, with {} for which."""
    percentiles = {
        match[1]: int(value)
        for name, value in values.items()
        if (match := _PERCENTILES[kind].match(name))
    }
    if not percentiles:
        return None
    return LatencyNs(
        minimum=int(values[key.format("min")]),
        mean=int(values[key.format("mean")]),
        maximum=int(values[key.format("max")]),
        percentiles=percentiles,
    )


def _throughput(
    values: dict[str, Any], summary: dict[str, str], detail_key: str, summary_key: str, path: Path
) -> float | None:
    if (logged := values.get(detail_key)) is None:
        return None
    printed = summary.get(summary_key)
    if printed is None:
        raise LoadgenLogError(f"{path}: {detail_key} has no counterpart in the summary")
    _require_same(detail_key, float(logged), printed, path)
    # Whichever has more digits; for small values that is the detail log.
    return float(printed) if abs(float(printed)) >= 10_000 else float(logged)
