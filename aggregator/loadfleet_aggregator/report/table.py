"""hosts.csv: one row a host, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from loadfleet_agent.contract.benchmark import Scenario

from ..text.terminal import printable
from .model import FleetReport, HostReport, PhaseReport
from .performance import performance_runs
from .views.standing import place_hosts

FORMULA = ("=", "+", "-", "@")
SERVED = {Scenario.SERVER: "server", Scenario.INTERACTIVE: "interactive"}
CSV_COLUMNS = (
    "host",
    "verdict",
    "phase",
    "reason",
    "group",
    "labels",
    "accelerator",
    "offline_tokens_per_second",
    "offline_samples_per_second",
    "offline_physical_limit_reached",
    "offline_joules_per_output_token",
    *(
        f"{name}_{column}"
        for name in SERVED.values()
        for column in (
            "tokens_per_second",
            "samples_per_second",
            "ttft_p99_ms",
            "ttft_p99_bound_ms",
            "ttft_over_limit",
            "tpot_p99_ms",
            "tpot_p99_bound_ms",
            "tpot_over_limit",
        )
    ),
    "single_stream_latency_p90_ms",
    "input_tokens_mean",
    "output_tokens_mean",
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    "accuracy_passed",
    "answers_identical",
    "flag",
    "flag_gap",
    "causes",
    "clock_offset_ms",
    "clock_error_ms",
    "attempts",
)


def render_csv(report: FleetReport) -> str:
    """In the order of the report's hosts; empty where there is no number."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    agreeing = {host.host: host.identical for item in report.agreement[::-1] for host in item.hosts}
    flags = {host.name: host.flag for host in place_hosts(report) if host.flag}
    for host in report.hosts:
        flag = flags.get(host.name)
        causes = dict.fromkeys(reason.cause for reason in flag.reasons) if flag else {}
        row = {
            "host": host.name,
            "verdict": host.verdict.kind.value,
            "phase": host.verdict.phase,
            "reason": host.verdict.reason,
            "group": host.group,
            "labels": " ".join(host.labels),
            "accelerator": host.accelerator,
            **_performance(host),
            **_accuracy(host),
            "answers_identical": agreeing.get(host.name),
            "flag": flag.kind if flag else None,
            "flag_gap": flag.gap if flag else None,
            "causes": "; ".join(causes),
            "clock_offset_ms": _ms(host.clock_offset_s),
            "clock_error_ms": _ms(host.clock_error_s),
            "attempts": host.attempts,
        }
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return stream.getvalue()


def _performance(host: HostReport) -> Mapping[str, object]:
    runs = performance_runs(host)
    row: dict[str, object] = {}
    if offline := runs.get(Scenario.OFFLINE):
        row |= {
            "offline_tokens_per_second": offline.tokens_per_second,
            "offline_samples_per_second": offline.samples_per_second,
            "offline_physical_limit_reached": offline.limit.reached if offline.limit else None,
            "offline_joules_per_output_token": offline.energy.joules_per_output_token
            if offline.energy
            else None,
        }
    for scenario, name in SERVED.items():
        if run := runs.get(scenario):
            row |= {f"{name}_{column}": value for column, value in _served(run).items()}
    if single_stream := runs.get(Scenario.SINGLE_STREAM):
        row["single_stream_latency_p90_ms"] = _percentile_ms(single_stream, "latency", "90.00")
    if first := next(iter(runs.values()), None):
        row |= {
            "input_tokens_mean": first.input_tokens.mean,
            "output_tokens_mean": first.output_tokens.mean,
        }
    return row


def _served(run: PhaseReport) -> Mapping[str, object]:
    row: dict[str, object] = {
        "tokens_per_second": run.tokens_per_second,
        "samples_per_second": run.samples_per_second,
    }
    curves = {curve.metric: curve for curve in run.curves}
    for metric in ("ttft", "tpot"):
        curve = curves.get(metric)
        bound = curve.p99_bound_ns if curve else None
        row |= {
            f"{metric}_p99_ms": _percentile_ms(run, metric, "99.00"),
            f"{metric}_p99_bound_ms": None if bound is None else f"{bound / 1e6:.3f}",
            f"{metric}_over_limit": curve.over_limit if curve else None,
        }
    return row


def _accuracy(host: HostReport) -> Mapping[str, object]:
    if not host.accuracy:
        return {}
    first = host.accuracy[0].score
    judged = [item.passed for item in host.accuracy if item.passed is not None]
    return {
        "rouge1": first.rouge1,
        "rouge2": first.rouge2,
        "rougeL": first.rougeL,
        "rougeLsum": first.rougeLsum,
        "accuracy_passed": ("yes" if all(judged) else "no") if judged else None,
    }


def _percentile_ms(run: PhaseReport, name: str, percentile: str) -> str | None:
    latency = getattr(run, name)
    return f"{latency.percentiles[percentile] / 1e6:.3f}" if latency else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _cell(value: object) -> object:
    """Text on one line, quoted where a spreadsheet would take it for a formula; a number may be
    negative."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    line = printable(value)
    return f"'{line}" if line.startswith(FORMULA) else line
