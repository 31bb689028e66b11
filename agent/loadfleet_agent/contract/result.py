"""What a host leaves behind: PhaseResult, HostResult and the Manifest over its files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Document, Frozen, Name, Sha256, UtcTime
from .benchmark import AccuracyTarget, Mode, Scenario
from .dataset import DatasetLabel, SkippedDataset
from .energy import PhaseEnergy
from .gate import GateFinding
from .loadgen_log import LoadgenResult
from .roofline import Geometry, Precision
from .status import Failure


class Distribution(Frozen):
    """Of one value over the samples of a phase."""

    count: int = Field(ge=1)
    minimum: float
    mean: float
    p50: float
    p90: float
    p99: float
    maximum: float


class Test06(Frozen):
    """What MLPerf's TEST06 asks of the logged tokens (its ``run_verification.py``)."""

    samples: int = Field(ge=0, description="samples with a full log")
    first_token: bool | None = Field(
        description="the first token told is that of the answer; None: Offline tells none"
    )
    eos: bool = Field(description="no answer has more than one end-of-sequence token at its end")
    sample_length: bool = Field(description="each answer has as many tokens as were counted")

    @property
    def passed(self) -> bool:
        return self.first_token is not False and self.eos and self.sample_length


class PhaseResult(Document):
    """phase.json: one LoadGen run. The numbers of ``loadgen`` are LoadGen's own; those of
    the distributions are ours, measured from the moment LoadGen issued the query to us."""

    name: str
    scenario: Scenario
    mode: Mode
    plan_hash: Sha256
    started_utc: UtcTime
    ended_utc: UtcTime
    started_monotonic_ns: int | None = Field(
        default=None,
        description="started_utc on the host's monotonic clock, which samples.parquet tells",
    )
    configuration_sha256: Sha256 = Field(
        description="over the plan and what really ran: engine, model and dataset; equal for all "
        "phases of a valid run"
    )
    target_qps: float | None = Field(description="that LoadGen was given; None: SingleStream")
    samples: int = Field(ge=0, description="samples answered")
    input_tokens: Distribution
    output_tokens: Distribution
    latency_from_issue_ns: Distribution
    ttft_from_issue_ns: Distribution | None = Field(description="None for Offline")
    harness_cpu_s: float = Field(
        default=0.0,
        ge=0,
        description="processor seconds of LoadGen and of what feeds the engine, in one process",
    )
    loadgen: LoadgenResult
    test06: Test06 | None = Field(description="of the compliance test; None: another mode")
    gate: tuple[GateFinding, ...] = Field(description="rules that were broken; empty: valid")
    files: dict[str, Sha256] = Field(
        description="files of the phase's folder, hashed as LoadGen ended"
    )

    @property
    def valid(self) -> bool:
        return not self.gate


class RateProbe(Frozen):
    """One short run of a search for a rate."""

    target_qps: float
    queries: int = Field(ge=1)
    duration_s: float = Field(ge=0, description="from its first to its last moment")
    samples_per_second: float | None = Field(description="completed, by LoadGen")
    ttft_p99_ns: int | None
    tpot_p99_ns: int | None
    ttft_growth: float | None = Field(
        default=None,
        description="seconds by which the time to first token grew in a second, as far as that is "
        "certain, in the second half of the run, or LoadGen's delay behind its own schedule if "
        "that grew faster; None where LoadGen sets no pace",
    )
    held: bool = Field(
        description="LoadGen found it VALID, early stopping included, and TTFT would not grow "
        "over its limit in the run itself"
    )
    reason: str = Field(description="why it did not hold, or ''")


class RateResult(Document):
    """rate.json: how a scenario's rate was found, run by run."""

    name: str
    scenario: Scenario
    plan_hash: Sha256
    started_utc: UtcTime
    ended_utc: UtcTime
    offline_samples_per_second: float | None = Field(
        description="where it began; None: in Offline itself"
    )
    probes: tuple[RateProbe, ...]
    highest_held_qps: float = Field(gt=0)
    margin: float = Field(ge=0, description="share by which target_qps is lower")
    target_qps: float = Field(gt=0, description="that the runs of the scenario are given")


class RougeScore(Frozen):
    """ROUGE F1 times 100, as MLPerf's evaluation prints it (mean, rounded to 4 places)."""

    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 - the metric's own name
    rougeLsum: float  # noqa: N815
    gen_len: int = Field(description="characters of all processed predictions")
    gen_num: int = Field(description="samples")

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
    reason: str = Field(description="why not applicable, or which target was missed, or ''")
    passed: bool | None = Field(description="None where not applicable")


class ModelFacts(Frozen):
    """Which model was really loaded."""

    name: str
    path: str
    config_sha256: Sha256
    tokenizer_sha256: Sha256
    weights_sha256: Sha256 | None = Field(
        description="over the names and hashes of the weight files: read now, or of large weights "
        "those that their download verified (their sizes are checked); None if there are none"
    )
    vocabulary: int
    stop_token_ids: tuple[int, ...]
    precision: Precision | None = Field(
        default=None, description="of the stored weights; None for a form that is not known"
    )
    geometry: Geometry | None = Field(default=None, description="None where config.json lacks it")


class DatasetFacts(Frozen):
    """Which samples were really used."""

    source: str
    label: DatasetLabel
    library_sha256: Sha256 = Field(
        description="over the token ids and the reference of every sample in order"
    )
    samples: int
    input_tokens: Distribution
    origin: str = Field(description="file and its hash, or the generator and its seed")
    skipped: tuple[SkippedDataset, ...] = Field(
        default=(), description="sources that stood before it and were not there, in their order"
    )


class EngineFacts(Frozen):
    """What the engine says of itself once it has started."""

    kind: str
    version: str
    start_s: float = Field(ge=0)
    settings: dict[str, str | int | float | bool | None] = Field(
        description="as resolved by the engine"
    )
    gpus: tuple[int, ...] = Field(
        default=(), description="indices of the GPUs that it computes on; none on the CPU"
    )


class HostResult(Document):
    """result.json: written when all else is. Present, complete and valid is success."""

    run_id: Name
    host: Name
    plan_hash: Sha256
    outcome: Literal["complete", "failed", "stopped"]
    failure: Failure | None
    labels: tuple[str, ...]
    started_utc: UtcTime
    ended_utc: UtcTime
    attempts: int = Field(ge=1)
    model: ModelFacts | None
    dataset: DatasetFacts | None
    engine: EngineFacts | None
    rates: tuple[RateResult, ...] = Field(description="searches for a rate that was not given")
    phases: tuple[PhaseResult, ...]
    accuracy: tuple[Accuracy, ...]
    gate: tuple[GateFinding, ...] = Field(description="rules broken between the phases")
    energy: tuple[PhaseEnergy, ...] = Field(
        default=(), description="of the performance phases; empty without GPUs"
    )
    changed_facts: tuple[str, ...] = Field(description="host facts that changed during the run")
    warnings: tuple[str, ...]

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
    size_bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(Document):
    """manifest.json: every other file of the run folder; written last of all."""

    run_id: Name
    files: dict[str, FileEntry] = Field(description="path relative to the run folder")
