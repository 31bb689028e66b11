"""RunPlan: everything a run does, with every default filled in, before anything runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import Document, Frozen, Name, canonical_json, digest
from .benchmark import (
    DATASET_SAMPLES,
    EARLY_STOPPING_MIN_QUERIES,
    MAX_OUTPUT_TOKENS,
    MIN_OUTPUT_TOKENS,
    OFFICIAL_MIN_DURATION_MS,
    SCENARIOS,
    Mode,
    Scenario,
    Suite,
    dataset_samples,
)
from .dataset import DatasetChain, DatasetLabel, not_mlperf
from .evaluation import MOST_EVALUATIONS, EvaluationPlan
from .model import ModelSource
from .needs import Needs
from .profile import Build, EngineSettings, Generation
from .rate_search import RateSearch


class Runtime(StrEnum):
    """What the agent and its engine run in on the host."""

    VENV = "venv"
    """A virtual environment of the host's Python."""
    CONTAINER = "container"
    """A container of a vLLM image, without network and privileges."""


class OfficialLength(Frozen):
    """As long as MLPerf asks: the whole dataset and at least 600 s."""

    kind: Literal["official"] = "official"


class ShortLength(Frozen):
    """An explicit short run; every result of it is labelled so."""

    kind: Literal["short"] = "short"
    samples: int = Field(ge=1, le=DATASET_SAMPLES, description="dataset samples in use")
    server_queries: int = Field(
        default=500,
        ge=1,
        description="queries of a Server or Interactive run; under "
        f"{EARLY_STOPPING_MIN_QUERIES} LoadGen cannot confirm a 99th percentile",
    )
    min_duration_ms: int = Field(
        default=0,
        ge=0,
        le=OFFICIAL_MIN_DURATION_MS,
        description="least length of a performance run",
    )


RunLength = Annotated[OfficialLength | ShortLength, Field(discriminator="kind")]


class ScenarioPlan(Frozen):
    """One scenario and what is run of it."""

    scenario: Scenario
    modes: tuple[Mode, ...] = Field(min_length=1)
    target_qps: float | None = Field(
        gt=0,
        description="Server and Interactive: queries per second that LoadGen sends. Offline: "
        "expected samples per second, which sets the length of the run. None: found before it "
        "by short runs. SingleStream has none",
    )
    target_latency_ms: float | None = Field(
        default=None,
        gt=0,
        description="SingleStream: expected time of an answer, which sets the number of queries",
    )


class InactivityLimits(Frozen):
    """Seconds without progress after which a phase is ended. Not limits on its length."""

    prepare_s: float = Field(default=1800, gt=0, description="model and dataset put in place")
    load_s: float = Field(default=1800, gt=0, description="engine started, warmed up")
    generate_s: float = Field(default=300, gt=0, description="a LoadGen run")
    score_s: float = Field(default=900, gt=0, description="ROUGE computed")
    barrier_s: float = Field(
        default=1800, gt=0, description="ready, and waiting to be started (sync_start)"
    )


class RunPlan(Document):
    """The resolved plan of one host. Written once, before anything runs."""

    run_id: Name
    host: Name
    suite: Suite
    profile: str
    build: Build
    runtime: Runtime
    engine: EngineSettings
    generation: Generation
    environment: dict[str, str]
    needs: Needs = Needs()
    model: ModelSource
    dataset: DatasetChain
    length: RunLength
    scenarios: tuple[ScenarioPlan, ...] = Field(
        description="LoadGen's part; empty where evaluations alone are asked for"
    )
    evaluations: tuple[EvaluationPlan, ...] = Field(
        default=(),
        max_length=MOST_EVALUATIONS,
        description="tasks of lm_eval over the same engine, after LoadGen's runs",
    )
    rate_search: RateSearch
    inactivity: InactivityLimits
    sync_start: bool = Field(
        default=False,
        description="before each performance run wait for loadfleet-agent go; changes nothing of "
        "what is measured, so it is not in the plan's hash",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> RunPlan:
        if not self.scenarios and not self.evaluations:
            raise ValueError("nothing to run: no scenario and no evaluation")
        tasks = [item.task for item in self.evaluations]
        if len(set(tasks)) != len(tasks):
            raise ValueError("a task is named twice in the evaluations")
        names = [item.scenario for item in self.scenarios]
        if len(set(names)) != len(names):
            raise ValueError("a scenario is named twice")
        if any(len(set(item.modes)) != len(item.modes) for item in self.scenarios):
            raise ValueError("a mode is named twice")
        foreign = [name for name in names if name not in SCENARIOS[self.suite]]
        if foreign:
            raise ValueError(
                f"the {self.suite} suite has no {foreign[0]}, only "
                + ", ".join(SCENARIOS[self.suite])
            )
        if self.suite is Suite.EDGE and any(Mode.TEST06 in item.modes for item in self.scenarios):
            raise ValueError("the edge suite has no test06: leave it out of the modes")
        if self.samples > dataset_samples(self.suite):
            raise ValueError(f"the {self.suite} suite has {dataset_samples(self.suite)} samples")
        if self.model.source == "dummy" and self.engine.load_format != "dummy":
            raise ValueError(
                "a model of source dummy has no weights: set engine.load_format: dummy"
            )
        if self.generation.max_tokens >= self.engine.max_model_len:
            raise ValueError("generation.max_tokens must be below engine.max_model_len")
        return self

    @property
    def plan_hash(self) -> str:
        """SHA-256 of all that decides the result: equal for two hosts that run the same.

        When a run starts decides nothing of it: alone and together with others it is the same plan.
        """
        # A plan without evaluations has the hash that it had before there were any.
        left_out = {"sync_start"} if self.evaluations else {"sync_start", "evaluations"}
        return digest({key: value for key, value in self.shared.items() if key not in left_out})

    @property
    def shared(self) -> dict[str, object]:
        """The plan as JSON values without what names one run and one host, and without which
        shard of the questions is the host's."""
        shards = {"evaluations": {"__all__": {"shard": {"index"}}}}
        return self.model_dump(mode="json", exclude={"run_id": True, "host": True, **shards})

    @property
    def phases(self) -> tuple[tuple[Scenario, Mode], ...]:
        """The LoadGen runs in their order."""
        return tuple((item.scenario, mode) for item in self.scenarios for mode in item.modes)

    @property
    def barriers(self) -> tuple[str, ...]:
        """Names of the phases before which this host waits to be started, in their order."""
        if not self.sync_start:
            return ()
        return tuple(phase_name(*phase) for phase in self.phases if phase[1] is Mode.PERFORMANCE)

    @property
    def samples(self) -> int:
        """Dataset samples in use."""
        if self.length.kind == "official":
            return dataset_samples(self.suite)
        return self.length.samples

    @property
    def min_duration_ms(self) -> int:
        """Least length of a performance run."""
        if self.length.kind == "official":
            return OFFICIAL_MIN_DURATION_MS
        return self.length.min_duration_ms

    @property
    def searched(self) -> tuple[Scenario, ...]:
        """The scenarios whose rate is found before their first LoadGen run.

        Offline needs one only where it decides how many samples last for the least duration.
        """
        return tuple(
            item.scenario
            for item in self.scenarios
            if item.target_qps is None
            and (
                item.scenario.paced
                or (
                    item.scenario is Scenario.OFFLINE
                    and Mode.PERFORMANCE in item.modes
                    and self.min_duration_ms > 0
                )
            )
        )

    def scenario(self, scenario: Scenario) -> ScenarioPlan:
        return next(item for item in self.scenarios if item.scenario == scenario)

    @property
    def labels(self) -> tuple[str, ...]:
        """What keeps this plan's numbers from counting as MLPerf; empty if nothing does.

        Of several datasets none is known to be used: a result's labels are ``result_labels``.
        """
        return self.labels_with(self.dataset[0].label if len(self.dataset) == 1 else None)

    def labels_with(self, dataset: DatasetLabel | None) -> tuple[str, ...]:
        """The same when samples of this label are used; None: not known."""
        found = []
        if self.length.kind == "short":
            found.append("short")
        if dataset is not None and (reason := not_mlperf(dataset)) is not None:
            found.append(reason)
        if self.model.source == "tiny" or self.engine.load_format == "dummy":
            found.append("random-weights")
        if self.engine.load_format == "dummy":
            found.append("performance-only")
        if self.engine.kind == "null":
            found.append("null-engine")
        if (self.generation.max_tokens, self.generation.min_tokens) != (
            MAX_OUTPUT_TOKENS,
            MIN_OUTPUT_TOKENS,
        ):
            found.append(f"output-limit-{self.generation.max_tokens}")
        if self.engine.enable_prefix_caching:
            found.append("prefix-caching")
        return tuple(found)


def phase_name(scenario: Scenario, mode: Mode) -> str:
    """Name of a LoadGen phase and of its folder, e.g. ``offline-performance``."""
    return f"{scenario.value.lower()}-{mode.value}"


def rate_name(scenario: Scenario) -> str:
    """Name of the search for a scenario's rate and of its folder, e.g. ``server-rate``."""
    return f"{scenario.value.lower()}-rate"


def flatten(value: object, prefix: str = "") -> dict[str, object]:
    """The leaves of nested mappings under their dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, object] = {}
    for key, item in value.items():
        found |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def differing_keys(one: RunPlan, other: RunPlan) -> list[str]:
    """Names of the plan's keys whose values differ, dotted."""
    left, right = (
        {key: canonical_json(leaf) for key, leaf in flatten(plan.shared).items()}
        for plan in (one, other)
    )
    return sorted(key for key in left | right if left.get(key) != right.get(key))
