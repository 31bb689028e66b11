"""An estimate for people: the table that the agent's command and the playbook print."""

from __future__ import annotations

from .advice import AdviceKind
from .duration import duration_text
from .estimate import RunEstimate, StepEstimate

KINDS = {
    AdviceKind.NOT_MLPERF: "not MLPerf",
    AdviceKind.OPEN_ONLY: "open division only",
    AdviceKind.UNWISE: "unwise",
}


def describe_estimate(estimate: RunEstimate) -> list[str]:
    """Lines: each LoadGen run with its length and why, the total, the disk, the advice.

    A '+' says at least.
    """
    rows = [("run", "samples", "expected", "")]
    rows += [(step.name, _samples(step), _length(step), step.why) for step in estimate.steps]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    more = "+" if estimate.total_is_least else ""
    total = f"{duration_text(estimate.total_seconds)}{more}"
    if more:
        total += " (+: at least, for what is not known yet)"
    total += ", loading the model and scoring aside"
    disk = f"{estimate.disk_bytes / 1e6:,.1f} MB{more} in the run's folder, the model aside"
    return [
        *(
            f"{name:<{widths[0]}}  {samples:>{widths[1]}}  {length:>{widths[2]}}  {why}".rstrip()
            for name, samples, length, why in rows
        ),
        f"{'total':<{widths[0]}}  {total}",
        f"{'disk':<{widths[0]}}  {disk}",
        *(f"{KINDS[item.kind]}: {item.setting}: {item.text}" for item in estimate.advice),
    ]


def _samples(step: StepEstimate) -> str:
    return f"{step.samples:,}" + ("+" if step.samples_is_least else "")


def _length(step: StepEstimate) -> str:
    if step.seconds is not None:
        return duration_text(step.seconds)
    return f"{duration_text(step.least_seconds)}+" if step.least_seconds else "not known"
