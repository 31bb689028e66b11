"""The document of loadfleet compare: what changed from one run to another, and the outcome."""

from __future__ import annotations

from enum import StrEnum

from loadfleet_agent.contract.base import Document, Frozen, UtcTime
from loadfleet_agent.contract.benchmark import Scenario
from pydantic import Field

from ..intervals import Interval
from ..report.metric import Metric
from ..verdict import Verdict


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}[self]


class RunName(Frozen):
    """One of the two runs."""

    run_id: str
    created_utc: UtcTime
    headline: str


class HostChange(Frozen):
    """A number of one host in both runs."""

    host: str
    old: tuple[float, ...] = Field(min_length=1, description="a value for each repeat")
    new: tuple[float, ...] = Field(min_length=1)
    ratio: float = Field(description="geometric mean of new over that of old")
    interval: Interval | None = Field(
        description="95 %, from the host's own repeats; None without repeats in both runs"
    )


class FleetChange(Frozen):
    """A number over the hosts that have it in both runs."""

    metric: Metric
    hosts: tuple[HostChange, ...] = Field(description="the worst change first")
    old: float | None = Field(description="geometric mean over these hosts")
    new: float | None
    ratio: float | None = Field(description="geometric mean of the hosts' ratios; None: no host")
    interval: Interval | None = Field(description="95 %, of that ratio; None: nothing to take from")


class ScenarioComparison(Frozen):
    """One scenario; its result metric decides, the others are shown."""

    scenario: Scenario
    result: FleetChange
    limit_ratio: float = Field(description="ratio of the result at which the allowed loss ends")
    outcome: Outcome
    reason: str
    shown: tuple[FleetChange, ...] = Field(description="p99 of TTFT and TPOT, where told")
    notes: tuple[str, ...]


class AccuracyChange(Frozen):
    """ROUGE of one host and scenario against MLPerf's targets in both runs."""

    host: str
    scenario: Scenario
    old: str
    new: str
    lost: bool = Field(description="passed in the old run, and in the new one not")


class HostPresence(Frozen):
    """A host's verdict in each run; None where it is not in the inventory."""

    host: str
    old: Verdict | None
    new: Verdict | None
    lost: bool = Field(description="ok in the old run, and in the new one not ok or not there")

    @property
    def loss(self) -> str:
        """Of a lost host, in words."""
        return f"{self.host} was ok, is {self.new or 'not in the inventory of the new run'}"


class Changed(Frozen):
    """A fact or setting that hosts told otherwise in the new run."""

    name: str
    old: str
    new: str
    hosts: tuple[str, ...]


class Finding(Frozen):
    """A reason for an outcome other than pass."""

    outcome: Outcome
    what: str


class Comparison(Document):
    """What loadfleet compare --json prints."""

    old: RunName
    new: RunName
    allowed_loss: float = Field(description="share, 0 to 1")
    outcome: Outcome
    headline: str
    findings: tuple[Finding, ...] = Field(description="failures first")
    statement: str = Field(description="how these numbers relate to MLPerf results")
    scenarios: tuple[ScenarioComparison, ...]
    only_in_old: tuple[Scenario, ...] = Field(description="scenarios that the other run has not")
    only_in_new: tuple[Scenario, ...]
    accuracy: tuple[AccuracyChange, ...]
    hosts: tuple[HostPresence, ...] = Field(description="of both inventories")
    changed: tuple[Changed, ...]
