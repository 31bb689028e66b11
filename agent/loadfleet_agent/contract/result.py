"""What a host leaves behind: PhaseResult, HostResult and the Manifest over its files."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import (
    MOST_GPUS,
    Amount,
    Count,
    Document,
    Figure,
    Frozen,
    Integer,
    Line,
    Name,
    Rate,
    Sha256,
    Text,
)
from .benchmark import AccuracyTarget, Mode, Scenario
from .dataset import DatasetLabel, SkippedDataset
from .distribution import Distribution, Timed, TokenCounts
from .energy import PhaseEnergy
from .evaluation import MOST_EVALUATIONS, EvaluationResult
from .gate import GateFinding
from .loadgen_log import LoadgenResult
from .plan import phase_name, rate_name
from .roofline import Geometry, Precision
from .status import Failure

LONGEST_PHASE = timedelta(days=366)


class Test06(Frozen):
    """What MLPerf's TEST06 asks of the logged tokens (its ``run_verification.py``)."""

    samples: Count = Field(description="samples with a full log")
    first_token: bool | None = Field(
        description="the first token told is that of the answer; None: Offline tells none"
    )
    eos: bool = Field(description="no answer has more than one end-of-sequence token at its end")
    sample_length: bool = Field(description="each answer has as many tokens as were counted")

    @property
    def passed(self) -> bool:
        return self.first_token is not False and self.eos and self.sample_length


class PhaseResult(Timed):
    """phase.json: one LoadGen run. The numbers of ``loadgen`` are LoadGen's own; those of
    the distributions are ours, measured from the moment LoadGen issued the query to us."""

    name: Line
    scenario: Scenario
    mode: Mode
    plan_hash: Sha256
    started_monotonic_ns: Count | None = Field(
        default=None,
        description="started_utc on the host's monotonic clock, which samples.parquet tells",
    )
    configuration_sha256: Sha256 = Field(
        description="over the plan and what really ran: engine, model and dataset; equal for all "
        "phases of a valid run"
    )
    target_qps: Rate | None = Field(description="that LoadGen was given; None: SingleStream")
    samples: Count = Field(description="samples answered")
    input_tokens: TokenCounts
    output_tokens: TokenCounts
    latency_from_issue_ns: Distribution
    ttft_from_issue_ns: Distribution | None = Field(description="None for Offline")
    harness_cpu_s: Amount = Field(
        default=0.0,
        description="processor seconds of LoadGen and of what feeds the engine, in one process",
    )
    loadgen: LoadgenResult
    test06: Test06 | None = Field(description="of the compliance test; None: another mode")
    gate: tuple[GateFinding, ...] = Field(
        max_length=100, description="rules that were broken; empty: valid"
    )
    files: dict[Line, Sha256] = Field(
        max_length=100, description="files of the phase's folder, hashed as LoadGen ended"
    )

    @model_validator(mode="after")
    def _ends_in_time(self) -> PhaseResult:
        if self.ended_utc - self.started_utc > LONGEST_PHASE:
            raise ValueError(f"ended_utc is more than {LONGEST_PHASE.days} days after started_utc")
        return self

    @model_validator(mode="after")
    def _is_named_by_what_it_is(self) -> PhaseResult:
        if self.name != phase_name(self.scenario, self.mode):
            raise ValueError(f"name is not {phase_name(self.scenario, self.mode)}")
        return self

    @property
    def valid(self) -> bool:
        return not self.gate


class RateProbe(Frozen):
    """One short run of a search for a rate."""

    target_qps: Rate
    queries: Annotated[Count, Field(ge=1)]
    duration_s: Amount = Field(description="from its first to its last moment")
    samples_per_second: Rate | None = Field(description="completed, by LoadGen")
    ttft_p99_ns: Integer | None
    tpot_p99_ns: Integer | None
    ttft_growth: Figure | None = Field(
        default=None,
        description="seconds by which the time to first token grew in a second, as far as that is "
        "certain, in the second half of the run, or LoadGen's delay behind its own schedule if "
        "that grew faster; None where LoadGen sets no pace",
    )
    held: bool = Field(
        description="LoadGen found it VALID, early stopping included, and TTFT would not grow "
        "over its limit in the run itself"
    )
    reason: Text = Field(description="why it did not hold, or ''")


class RateResult(Timed):
    """rate.json: how a scenario's rate was found, run by run."""

    name: Line
    scenario: Scenario
    plan_hash: Sha256
    offline_samples_per_second: Rate | None = Field(
        description="where it began; None: in Offline itself"
    )
    probes: tuple[RateProbe, ...] = Field(max_length=1_000)
    highest_held_qps: Annotated[Rate, Field(gt=0)]
    margin: float = Field(ge=0, le=1, description="share by which target_qps is lower")
    target_qps: Annotated[Rate, Field(gt=0)] = Field(
        description="that the runs of the scenario are given"
    )

    @model_validator(mode="after")
    def _is_named_by_what_it_is(self) -> RateResult:
        if self.name != rate_name(self.scenario):
            raise ValueError(f"name is not {rate_name(self.scenario)}")
        return self


Points = Annotated[float, Field(ge=0, le=100)]


class RougeScore(Frozen):
    """ROUGE F1 times 100, as MLPerf's evaluation prints it (mean, rounded to 4 places)."""

    rouge1: Points
    rouge2: Points
    rougeL: Points  # noqa: N815 - the metric's own name
    rougeLsum: Points  # noqa: N815
    gen_len: Count = Field(description="characters of all processed predictions")
    gen_num: Count = Field(description="samples")

    def missed(self, target: AccuracyTarget) -> list[str]:
        """Each target that the score misses, with both numbers; the samples are not looked at.

        99 % of each ROUGE reference, and 90 % to 110 % of its length.
        """
        missed = [
            f"{name} {getattr(self, name):.4f} below {least:.4f}"
            for name, least in target.rouge_minimum.items()
            if getattr(self, name) < least
        ]
        low, high = target.gen_len_range
        if not low <= self.gen_len <= high:
            missed.append(f"gen_len {self.gen_len} outside {low:.1f} to {high:.1f} characters")
        return missed


class Accuracy(Frozen):
    """Accuracy of one scenario and what it means."""

    scenario: Scenario
    score: RougeScore
    applicable: bool = Field(description="whether MLPerf's targets mean anything here")
    reason: Text = Field(description="why not applicable, or which target was missed, or ''")
    passed: bool | None = Field(description="None where not applicable")


class ModelFacts(Frozen):
    """Which model was really loaded."""

    name: Line
    path: Line
    config_sha256: Sha256
    tokenizer_sha256: Sha256
    weights_sha256: Sha256 | None = Field(
        description="over the names and hashes of the weight files: read now, or of large weights "
        "those that their download verified (their sizes are checked); None if there are none"
    )
    vocabulary: Count
    stop_token_ids: tuple[Count, ...] = Field(max_length=1_000)
    precision: Precision | None = Field(
        default=None, description="of the stored weights; None for a form that is not known"
    )
    geometry: Geometry | None = Field(default=None, description="None where config.json lacks it")


class DatasetFacts(Frozen):
    """Which samples were really used."""

    source: Line
    label: DatasetLabel
    library_sha256: Sha256 = Field(
        description="over the token ids and the reference of every sample in order"
    )
    samples: Count
    input_tokens: TokenCounts
    origin: Text = Field(description="file and its hash, or the generator and its seed")
    skipped: tuple[SkippedDataset, ...] = Field(
        default=(),
        max_length=100,
        description="sources that stood before it and were not there, in their order",
    )


class EngineFacts(Frozen):
    """What the engine says of itself once it has started."""

    kind: Line
    version: Line
    start_s: Amount
    settings: dict[Line, Text | Integer | Figure | bool | None] = Field(
        max_length=200, description="as resolved by the engine"
    )
    gpus: tuple[Count, ...] = Field(
        default=(),
        max_length=MOST_GPUS,
        description="indices of the GPUs that it computes on; none on the CPU",
    )

    @model_validator(mode="after")
    def _names_a_gpu_once(self) -> EngineFacts:
        if len(set(self.gpus)) < len(self.gpus):
            raise ValueError("gpus: one is named twice")
        return self


class HostResult(Timed):
    """result.json: written when all else is. Present, complete and valid is success."""

    run_id: Name
    host: Name
    plan_hash: Sha256
    outcome: Literal["complete", "failed", "stopped"]
    failure: Failure | None
    labels: tuple[Line, ...] = Field(max_length=20)
    attempts: Annotated[Count, Field(ge=1)]
    model: ModelFacts | None
    dataset: DatasetFacts | None
    engine: EngineFacts | None
    rates: tuple[RateResult, ...] = Field(
        max_length=len(Scenario), description="searches for a rate that was not given"
    )
    phases: tuple[PhaseResult, ...] = Field(max_length=len(Scenario) * len(Mode))
    accuracy: tuple[Accuracy, ...] = Field(max_length=len(Scenario))
    gate: tuple[GateFinding, ...] = Field(
        max_length=100, description="rules broken between the phases"
    )
    energy: tuple[PhaseEnergy, ...] = Field(
        default=(),
        max_length=len(Scenario) * len(Mode),
        description="of the performance phases; empty without GPUs",
    )
    evaluations: tuple[EvaluationResult, ...] = Field(
        default=(),
        max_length=MOST_EVALUATIONS,
        description="tasks of lm_eval over the same engine, in the plan's order",
    )
    changed_facts: tuple[Text, ...] = Field(
        max_length=100, description="host facts that changed during the run"
    )
    warnings: tuple[Text, ...] = Field(max_length=1_000)

    @model_validator(mode="after")
    def _tells_a_thing_once(self) -> HostResult:
        for key, names in (
            ("rates", [item.scenario.value for item in self.rates]),
            ("phases", [item.name for item in self.phases]),
            ("accuracy", [item.scenario.value for item in self.accuracy]),
            ("energy", [item.phase for item in self.energy]),
            ("evaluations", [item.name for item in self.evaluations]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{key}: one is told twice")
        return self

    @property
    def valid(self) -> bool:
        """Complete, every phase through the gate, no accuracy below its target."""
        return (
            self.outcome == "complete"
            and not self.gate
            and all(phase.valid for phase in self.phases)
            and not any(item.passed is False for item in self.accuracy)
        )


class FileEntry(Frozen):
    size_bytes: Count
    sha256: Sha256


class Manifest(Document):
    """manifest.json: every other file of the run folder; written last of all."""

    run_id: Name
    files: dict[Line, FileEntry] = Field(
        max_length=1_000, description="path relative to the run folder"
    )
