"""report.json, report.html, report.md and hosts.csv from one report, and where they are put."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.files import write_atomic, write_model
from markupsafe import Markup

from ..fleet.record import LATEST
from ..text.figures import NO_VALUE, milliseconds, number, signed_share
from ..text.markdown import cell
from ..text.terminal import printable
from .metric import result_metric
from .model import REPORT_FILE, FleetReport, HostReport, PhaseReport
from .performance import performance_runs

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
    "server_tokens_per_second",
    "server_samples_per_second",
    "server_ttft_p99_ms",
    "server_tpot_p99_ms",
    "interactive_tokens_per_second",
    "interactive_samples_per_second",
    "interactive_ttft_p99_ms",
    "interactive_tpot_p99_ms",
    "single_stream_latency_p90_ms",
    "rouge1",
    "rouge2",
    "rougeL",
    "rougeLsum",
    "attempts",
)


def write_reports(report: FleetReport, folder: Path) -> None:
    """Writes the four files into a run's folder."""
    write_model(folder / REPORT_FILE, report)
    write_atomic(folder / "report.html", render_html(report))
    write_atomic(folder / "report.md", render_markdown(report))
    write_atomic(folder / "hosts.csv", render_csv(report))


def publish(folder: Path, reports: Path) -> None:
    """Points results/latest at the run and copies its report to ``reports``/latest."""
    link = folder.parent / LATEST
    temporary = link.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)
    newest = reports / LATEST
    newest.mkdir(parents=True, exist_ok=True)
    for name in (REPORT_FILE, "report.html"):
        copy = newest / f".mlperf_{name}.tmp"
        shutil.copyfile(folder / name, copy)
        copy.replace(newest / f"mlperf_{name}")


def render_html(report: FleetReport) -> str:
    """One self-contained page."""
    return _environment(html=True).get_template("report.html.j2").render(report=report)


def render_markdown(report: FleetReport) -> str:
    return _environment(html=False).get_template("report.md.j2").render(report=report)


def render_csv(report: FleetReport) -> str:
    """One row a host; empty where there is no number."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for host in report.hosts:
        performance = performance_runs(host)
        offline = performance.get(Scenario.OFFLINE)
        server = performance.get(Scenario.SERVER)
        interactive = performance.get(Scenario.INTERACTIVE)
        single_stream = performance.get(Scenario.SINGLE_STREAM)
        score = host.accuracy[0].score if host.accuracy else None
        writer.writerow(
            {
                "host": _no_formula(host.name),
                "verdict": host.verdict.kind.value,
                "phase": _no_formula(host.verdict.phase),
                "reason": _no_formula(host.verdict.reason),
                "group": host.group or "",
                "labels": _no_formula(" ".join(host.labels)),
                "accelerator": _no_formula(host.accelerator),
                "offline_tokens_per_second": offline.tokens_per_second if offline else "",
                "offline_samples_per_second": offline.samples_per_second if offline else "",
                **_served("server", server),
                **_served("interactive", interactive),
                "single_stream_latency_p90_ms": _percentile_ms(single_stream, "latency", "90.00"),
                "rouge1": score.rouge1 if score else "",
                "rouge2": score.rouge2 if score else "",
                "rougeL": score.rougeL if score else "",
                "rougeLsum": score.rougeLsum if score else "",
                "attempts": host.attempts,
            }
        )
    return stream.getvalue()


def _performed(report: FleetReport) -> list[Scenario]:
    """Scenarios of which any host completed a performance run."""
    done = {scenario for host in report.hosts for scenario in performance_runs(host)}
    return [scenario for scenario in Scenario if scenario in done]


def _metric(scenario: Scenario) -> str:
    return f"{scenario} {result_metric(scenario).label}"


def _figure(host: HostReport, scenario: Scenario) -> str:
    """A host's number of that metric."""
    metric = result_metric(scenario)
    return metric.shown(metric.of(performance_runs(host).get(scenario)))


def _limited(report: FleetReport) -> list[tuple[HostReport, PhaseReport]]:
    """Runs on GPUs, which have a physical limit or a reason for none."""
    return [run for run in _runs(report) if run[1].limit or run[1].no_limit]


def _powered(report: FleetReport) -> list[tuple[HostReport, PhaseReport]]:
    """Performance runs on GPUs, of which there is energy, cost, or a reason for none."""
    return [run for run in _runs(report) if run[1].energy or run[1].cost]


def _runs(report: FleetReport) -> list[tuple[HostReport, PhaseReport]]:
    return [(host, phase) for host in report.hosts for phase in host.phases]


def _expected(share: tuple[float, float] | None) -> str:
    if share is None:
        return NO_VALUE
    low, high = share
    return f"{low * 100:.0f}{NO_VALUE}{high * 100:.0f} %"


def _prices(report: FleetReport) -> list[str]:
    """The prices that were reckoned with, with the hosts where they are not all the same."""
    hosts: dict[str, list[str]] = {}
    for host, phase in _powered(report):
        if phase.cost:
            prices = phase.cost.prices
            parts = [
                f"{price:g} per {unit}"
                for price, unit in ((prices.per_gpu_hour, "GPU-hour"), (prices.per_kwh, "kWh"))
                if price is not None
            ]
            names = hosts.setdefault(" and ".join(parts), [])
            if host.name not in names:
                names.append(host.name)
    if len(hosts) == 1:
        return list(hosts)
    return [f"{text} on {', '.join(names)}" for text, names in hosts.items()]


def _money(value: float | None) -> str:
    """An amount with as many digits as help."""
    if value is None:
        return NO_VALUE
    return f"{value:,.2f}" if value >= 10 else f"{value:.3g}"


def _served(name: str, phase: PhaseReport | None) -> dict[str, object]:
    return {
        f"{name}_tokens_per_second": phase.tokens_per_second if phase else "",
        f"{name}_samples_per_second": phase.samples_per_second if phase else "",
        f"{name}_ttft_p99_ms": _percentile_ms(phase, "ttft", "99.00"),
        f"{name}_tpot_p99_ms": _percentile_ms(phase, "tpot", "99.00"),
    }


def _percentile_ms(phase: PhaseReport | None, name: str, percentile: str) -> str:
    latency = getattr(phase, name) if phase else None
    return f"{latency.percentiles[percentile] / 1e6:.3f}" if latency else ""


def _no_formula(text: str) -> str:
    """One line; a cell that a spreadsheet would take for a formula is quoted."""
    line = printable(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _seen(value: object) -> object:
    """Every text that goes into the page: letters that would not be seen, or that would turn the
    others around, are written as what they are. Tags are left to autoescape."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(printable(line) for line in value.split("\n"))


def _seen_without_tags(value: object) -> object:
    """The same in Markdown, which lets tags through."""
    seen = _seen(value)
    return seen.replace("<", "&lt;") if isinstance(seen, str) else seen


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("loadfleet_aggregator.report"),
        autoescape=select_autoescape(["html.j2"]) if html else False,
        undefined=StrictUndefined,
        finalize=_seen if html else _seen_without_tags,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "performed": _performed,
        "metric": _metric,
        "figure": _figure,
        "limited": _limited,
        "powered": _powered,
        "expected": _expected,
        "prices": _prices,
        "money": _money,
        "number": number,
        "ms": milliseconds,
        "utc": lambda time: f"{time:%Y-%m-%d %H:%M:%S} UTC",
        "signed_percent": signed_share,
        "percent": lambda share: f"{share * 100:.1f} %",
        "duration": _duration,
        "cell": cell,
    }
    return environment


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
