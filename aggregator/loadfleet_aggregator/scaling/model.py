"""Joint throughput of one run, and the outcome of a scaling study of several."""

from __future__ import annotations

from loadfleet_agent.contract.base import Document, Frozen, Name, UtcTime
from loadfleet_agent.contract.benchmark import Scenario
from pydantic import Field

from ..intervals import Interval


class JointThroughput(Frozen):
    """What the hosts of a group did at one time, by the controller's clock.

    The common window begins as the last host began and ends as the first one ended. A sample
    counts in the window in which its last token came.
    """

    hosts: int
    synchronised: bool = Field(description="all were sent off for the same moment")
    window_start_utc: UtcTime
    window_end_utc: UtcTime
    tokens_per_second: float | None = Field(description="in the common window; None: it is empty")
    samples_per_second: float | None
    makespan_s: float = Field(description="from the first start to the last end")
    makespan_tokens_per_second: float = Field(description="of all samples over the makespan")
    start_skew_s: float = Field(description="between the first host's start and the last's")
    clock_error_s: float | None = Field(
        description="most that a host's clock offset may be wrong by; None: not measured"
    )
    imbalance: float = Field(description="longest run over the mean run, less 1")
    note: str = Field(description="what keeps it from being exact, or ''")


class HostEfficiency(Frozen):
    """One host, together with the others over alone, pair by pair."""

    host: str
    alone_tokens_per_second: tuple[float, ...] = Field(description="a value for each repeat")
    together_tokens_per_second: tuple[float, ...]
    efficiency: float = Field(description="geometric mean of together over alone")
    interval: Interval | None = Field(description="95 %; None with a single repeat")


class ScalingReport(Frozen):
    """Efficiency of a fleet in one scenario, from interleaved repeats."""

    scenario: Scenario
    repeats: int = Field(description="that count: each of their runs is valid")
    hosts: tuple[HostEfficiency, ...]
    efficiency: float = Field(
        description="weak scaling: sum of the hosts' tokens/s together over the sum alone, "
        "geometric mean of the repeats"
    )
    of_repeats: tuple[float, ...] = Field(description="the same of each repeat that counts")
    alone_tokens_per_second: float = Field(description="sum alone, geometric mean of the repeats")
    together_tokens_per_second: float = Field(description="sum together, likewise")
    interval: Interval | None = Field(
        description="95 %, Student's t on the logarithms of the repeats; None with one repeat"
    )
    verdict: str = Field(description="in words, e.g. not distinguishable from linear")
    against_best: float = Field(
        description="sum together over hosts times the fastest host's mean alone"
    )
    joint: tuple[JointThroughput, ...] = Field(description="of each repeat's run together")
    shares_machine: tuple[tuple[str, ...], ...] = Field(
        description="hosts that are one machine, which take from each other"
    )


class StudyRunReport(Frozen):
    """One run of a study; its own report is in the folder of its name."""

    run_id: Name
    repeat: int
    together: bool
    hosts: dict[str, float | None] = Field(
        description="host to its tokens/s; None where its run does not count"
    )
    reasons: dict[str, str] = Field(description="hosts that do not count, and why")

    @property
    def counts(self) -> bool:
        return not self.reasons


class StudyReport(Document):
    """report.json of a scaling study, from its runs."""

    study_id: Name
    created_utc: UtcTime
    headline: str
    labels: tuple[str, ...] = Field(description="what keeps any of these numbers from MLPerf")
    scaling: tuple[ScalingReport, ...] = Field(description="empty while no repeat is complete")
    runs: tuple[StudyRunReport, ...] = Field(description="in the order in which they are made")
    missing: tuple[str, ...] = Field(description="runs that do not count, and why")
    definitions: dict[str, str]

    @property
    def all_ok(self) -> bool:
        """Whether every run of every host counts."""
        return not self.missing

    @property
    def unfinished(self) -> dict[str, str]:
        """Host to the first of its runs that does not count and why, or ''."""
        found: dict[str, str] = {}
        for run in self.runs:
            for host in run.hosts:
                why = run.reasons.get(host, "")
                found[host] = found.get(host) or (f"{run.run_id}: {why}" if why else "")
        return found
