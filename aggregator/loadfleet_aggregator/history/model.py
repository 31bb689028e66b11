"""The document of loadfleet history: a fleet's numbers over time."""

from __future__ import annotations

from loadfleet_agent.contract.base import Document, Frozen, UtcTime
from loadfleet_agent.contract.benchmark import Scenario
from pydantic import Field

from ..compare.model import Changed
from ..identity import Identity
from ..intervals import Interval
from ..report.metric import Metric


class HistoryPoint(Frozen):
    """One run of a series."""

    run_id: str
    created_utc: UtcTime
    values: dict[str, float] = Field(description="host to its valid result")
    expected: tuple[str, ...] = Field(description="hosts that were to run it, valid or not")
    total: float | None = Field(
        description="sum over the hosts; None where one is not valid, where hosts share a machine "
        "or have different plans, and of a latency"
    )
    median: float = Field(description="of the valid hosts")
    ratio: float | None = Field(
        description="geometric mean of the ratios to the run before, over the hosts in both"
    )
    interval: Interval | None = Field(description="95 %, of that ratio; None: fewer than two hosts")
    moved: bool = Field(description="whether that interval leaves out 1")
    joined: tuple[str, ...] = Field(description="hosts that the run before was not to run on")
    left: tuple[str, ...]
    changed: tuple[Changed, ...] = Field(description="since the run before, on hosts in both")


class HistorySeries(Frozen):
    """Runs whose numbers may be put in one line: the same suite, model, samples and labels."""

    scenario: Scenario
    metric: Metric
    identity: Identity
    points: tuple[HistoryPoint, ...] = Field(min_length=1, description="the oldest first")


class SkippedRun(Frozen):
    """A run that is in no series."""

    folder: str
    reason: str


class History(Document):
    """What loadfleet history --json prints."""

    host: str | None = Field(description="the one host that it is of; None: all")
    series: tuple[HistorySeries, ...]
    skipped: tuple[SkippedRun, ...]
