"""report.json, report.html and report.md of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from loadfleet_agent.contract.files import write_atomic, write_model

from ..intervals import Interval
from ..report.model import REPORT_FILE
from ..report.shown import environment
from ..text.figures import NO_VALUE
from .model import HostEfficiency, ScalingReport, StudyReport


def write_study(report: StudyReport, folder: Path) -> None:
    """Writes the three files into the study's folder."""
    write_model(folder / REPORT_FILE, report)
    write_atomic(folder / "report.html", render_html(report))
    write_atomic(folder / "report.md", render_markdown(report))


def render_html(report: StudyReport) -> str:
    """One self-contained page."""
    return _environment(html=True).get_template("study.html.j2").render(report=report)


def render_markdown(report: StudyReport) -> str:
    return _environment(html=False).get_template("study.md.j2").render(report=report)


def _environment(*, html: bool) -> Environment:
    """That of a run's report, its style sheet and macros among the templates."""
    made = environment(html=html, package=__package__)
    made.filters |= {"range": _range, "bars": _bars}
    return made


def _range(interval: Interval | None) -> str:
    if interval is None:
        return NO_VALUE
    return f"{interval.low * 100:.1f} % to {interval.high * 100:.1f} %"


@dataclass(frozen=True)
class Bar:
    """An efficiency drawn on a scale that all of a scenario share; all in percent of its width."""

    of: ScalingReport | HostEfficiency
    bar: float
    whisker: tuple[float, float] | None
    """Where the interval begins, and how wide it is."""
    linear: float


def _bars(scaling: ScalingReport) -> list[Bar]:
    """The fleet first, then each host."""
    rows: list[ScalingReport | HostEfficiency] = [scaling, *scaling.hosts]
    reached = [row.interval.high if row.interval else row.efficiency for row in rows]
    # Beyond twice a linear fleet an interval only says that it knows nothing.
    top = max(1.1, min(max(reached), 2.0))

    def at(share: float) -> float:
        return round(min(share / top, 1.0) * 100, 2)

    def whisker(interval: Interval | None) -> tuple[float, float] | None:
        if interval is None:
            return None
        return at(interval.low), round(at(interval.high) - at(interval.low), 2)

    return [Bar(row, at(row.efficiency), whisker(row.interval), at(1.0)) for row in rows]
