"""report.json: everything that the renderings show, and nothing that depends on when it is made."""

from __future__ import annotations

from typing import Literal

from loadfleet_agent.contract.base import Count, Document, Frozen, Name, Rate, UtcTime
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.loadgen_log import LatencyNs
from loadfleet_agent.contract.result import (
    Accuracy,
    DatasetFacts,
    EngineFacts,
    ModelFacts,
    RateResult,
    RougeScore,
)
from loadfleet_agent.contract.roofline import Precision
from pydantic import Field, model_validator

from ..evaluation.model import FleetEvaluation
from ..fleet.prices import Prices
from ..samples.model import Agreement, LatencyCurve
from ..scaling.model import JointThroughput
from ..stragglers.model import Flag, FleetFinding
from ..telemetry import PhaseTelemetry
from ..timeline.model import HostTimeline, TimeAxis
from ..verdict import Verdict

REPORT_FILE = "report.json"


class PhysicalLimit(Frozen):
    """What the GPUs of a run can do at most with samples as long as its own, all together."""

    gpu: str = Field(description="name of the GPUs that were used")
    gpus: Count
    replicas: Count = Field(description="engines, each with gpus / replicas of them")
    precision: Precision
    kv_tokens: int = Field(description="tokens that the KV cache of one engine holds")
    sequences: int = Field(description="samples at once in one engine")
    prefill_tokens_per_second: float = Field(description="prompt tokens, by arithmetic alone")
    decode_tokens_per_second: float = Field(description="output tokens, by memory traffic alone")
    limit_samples_per_second: float
    limit_tokens_per_second: float = Field(description="output tokens of so many samples")
    bound_by: Literal["arithmetic", "memory traffic"]
    reached: float = Field(description="measured samples per second as a share of the limit")
    expected: tuple[float, float] | None = Field(
        description="share that a well-set vLLM is likely to reach, from and to; None where "
        "latency limits bound the rate"
    )


class EnergyReport(Frozen):
    """Energy of the GPUs that a run used, by their own counters; the host's is not in it."""

    gpus: Count
    joules: float | None = None
    mean_power_w: float | None = Field(default=None, description="of all of them")
    joules_per_output_token: float | None = None
    tokens_per_second_per_watt: float | None = None
    reason: str = Field(description="why there is no energy, or ''")


class CostReport(Frozen):
    """Of a million output tokens, in the currency of the prices; None where it is not known."""

    prices: Prices
    gpus: float | None = Field(description="hours of the GPUs that were used")
    energy: float | None = Field(description="electricity of these GPUs")
    total: float | None = Field(description="of what has a price")


class PhaseReport(Frozen):
    """One LoadGen run of one host; throughput and latency are LoadGen's own numbers."""

    name: str
    scenario: Scenario
    mode: str
    valid: bool
    findings: tuple[str, ...]
    started_utc: UtcTime
    ended_utc: UtcTime
    target_qps: Rate | None
    samples: Count
    samples_per_second: Rate | None
    tokens_per_second: Rate | None
    latency: LatencyNs | None
    ttft: LatencyNs | None
    tpot: LatencyNs | None
    ttft_limit_ns: Count | None
    tpot_limit_ns: Count | None
    latency_from_issue_ns: Distribution
    ttft_from_issue_ns: Distribution | None
    input_tokens: Distribution
    output_tokens: Distribution
    loadgen_version: str
    mlperf_round: str | None = Field(description="round to which LoadGen's seeds belong")
    log_sha256: str = Field(description="of mlperf_log_detail.txt as LoadGen left it")
    limit: PhysicalLimit | None = Field(
        default=None, description="of a performance run on GPUs, SingleStream aside"
    )
    no_limit: str = Field(default="", description="why such a run has no limit, or ''")
    energy: EnergyReport | None = Field(
        default=None, description="of a performance run on GPUs; None for any other"
    )
    cost: CostReport | None = Field(default=None, description="None without prices")
    telemetry: PhaseTelemetry | None = Field(
        default=None, description="the host's sensors while it ran; None where they told nothing"
    )
    curves: tuple[LatencyCurve, ...] = Field(
        default=(), description="of single samples; empty where their records are not usable"
    )
    no_curves: str = Field(default="", description="why there is none, or ''")

    @model_validator(mode="after")
    def _tells_of_tokens_whole(self) -> PhaseReport:
        if (self.ttft is None) != (self.tpot is None):
            raise ValueError("has one of TTFT and TPOT without the other")
        return self


class HostReport(Frozen):
    """One host of the inventory."""

    name: str
    verdict: Verdict
    group: str | None = Field(description="hosts with one plan share a group: A, B, ...")
    attempts: Count
    labels: tuple[str, ...]
    accelerator: str
    facts: dict[str, str]
    shares_machine_with: tuple[str, ...]
    rates: tuple[RateResult, ...]
    phases: tuple[PhaseReport, ...]
    accuracy: tuple[Accuracy, ...]
    evaluations_missed: tuple[str, ...] = Field(
        default=(), description="evaluations that fell below their limit, each with the reason"
    )
    model: ModelFacts | None
    dataset: DatasetFacts | None
    engine: EngineFacts | None
    warnings: tuple[str, ...]
    clock_offset_s: float | None = Field(
        default=None, description="the host's clock less the controller's; None: not measured"
    )
    clock_error_s: float | None = Field(
        default=None, description="most that the offset may be wrong by: half the round trip"
    )
    timeline: HostTimeline | None = Field(default=None, description="on the report's axis")


class HostThroughput(Frozen):
    """A host's place in a comparison."""

    host: str
    valid: bool
    tokens_per_second: Rate
    samples_per_second: Rate
    of_best: float = Field(description="share of the fastest valid host of the group, 0 to 1")


class ScenarioReport(Frozen):
    """One scenario over the hosts of one group, performance runs only."""

    group: str
    scenario: Scenario
    hosts: tuple[HostThroughput, ...] = Field(min_length=1)
    valid_hosts: Count
    aggregate_tokens_per_second: float | None = Field(
        description="sum over valid hosts; None where hosts share a machine"
    )
    aggregate_samples_per_second: float | None
    note: str = Field(description="what the sum means, or why there is none")
    joint: JointThroughput | None = Field(
        default=None, description="of valid hosts at one time; None with fewer than two"
    )


class PooledAccuracy(Frozen):
    """ROUGE of the hosts of one group in one scenario."""

    group: str
    scenario: Scenario
    hosts: Count = Field(description="that told a score")
    score: RougeScore = Field(description="mean over all their samples; gen_len of one dataset")
    margins: dict[str, float] = Field(
        description="by which the pooled score is over the least that passes, in points of each "
        "metric; empty where MLPerf's targets mean nothing"
    )
    worst_host: str = Field(description="with the least margin, or the least ROUGE-L")
    passed: bool | None = Field(description="of the pooled score; None where not applicable")
    reason: str = Field(description="why not applicable, or what was missed, or ''")


class Difference(Frozen):
    """A fact or setting that is not the same on all hosts."""

    name: str
    values: dict[str, tuple[str, ...]] = Field(description="value to the hosts that have it")


class Coverage(Frozen):
    """How many hosts of the inventory have which verdict."""

    inventory: Count
    selected: Count
    counts: dict[str, Count]


class FleetReport(Document):
    """report.json."""

    run_id: Name
    created_utc: UtcTime
    ended_utc: UtcTime | None = Field(description="of the host that ended last")
    headline: str
    labels: tuple[str, ...] = Field(description="what keeps any of these numbers from MLPerf")
    statement: str = Field(description="how these numbers relate to MLPerf results")
    coverage: Coverage
    hosts: tuple[HostReport, ...]
    scenarios: tuple[ScenarioReport, ...]
    pooled_accuracy: tuple[PooledAccuracy, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    evaluations: tuple[FleetEvaluation, ...] = Field(
        default=(), description="tasks of lm_eval over the engines that were timed"
    )
    axis: TimeAxis | None = Field(default=None, description="of the hosts' timelines")
    flags: tuple[Flag, ...] = Field(
        default=(), description="hosts that want a look, each at most once, the slowest first"
    )
    fleet_findings: tuple[FleetFinding, ...] = Field(
        default=(), description="faults that most hosts of a group share, which single none out"
    )
    differences: tuple[Difference, ...]
    plans: dict[str, dict[str, object]] = Field(description="group to the plan its hosts share")
    definitions: dict[str, str]

    @model_validator(mode="after")
    def _tells_a_host_once(self) -> FleetReport:
        names = [host.name for host in self.hosts]
        if len(set(names)) < len(names):
            raise ValueError("hosts: one is told twice")
        compared = {entry.host for scenario in self.scenarios for entry in scenario.hosts}
        if not compared <= set(names):
            raise ValueError("scenarios: a host that is not among the hosts")
        return self

    @property
    def all_ok(self) -> bool:
        """Whether every selected host is valid."""
        return self.coverage.counts.get("ok", 0) == self.coverage.selected > 0
