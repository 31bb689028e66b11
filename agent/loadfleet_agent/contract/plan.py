"""RunPlan: everything a run does, with every default filled in, before anything runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import Document, Frozen, Name, Sha256, canonical_json, digest
from .benchmark import (
    DATASET_SAMPLES,
    EARLY_STOPPING_MIN_QUERIES,
    MAX_OUTPUT_TOKENS,
    MIN_OUTPUT_TOKENS,
    OFFICIAL_MIN_DURATION_MS,
    Mode,
    Scenario,
)
from .profile import Build, EngineSettings, Generation


class Runtime(StrEnum):
    """What the agent and its engine run in on the host."""

    VENV = "venv"
    """A virtual environment of the host's Python."""
    CONTAINER = "container"
    """A container of a vLLM image, without network and privileges."""


class ModelFolder(Frozen):
    """A Hugging Face model folder that is already on the host."""

    source: Literal["path"] = "path"
    path: str


class HubModel(Frozen):
    """A model in the host's Hugging Face cache; it is read, never downloaded, by a run."""

    source: Literal["hub"] = "hub"
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(description="commit or branch")
    cache: str | None = Field(
        default=None,
        description="folder of the Hugging Face hub cache on the host; default: <home>/cache/hub "
        "if the model is there, else HF_HUB_CACHE or HF_HOME as usual",
    )


class TinyModel(Frozen):
    """A Llama of 2 M random weights that the agent makes itself, for runs without a GPU."""

    source: Literal["tiny"] = "tiny"
    seed: int = 0


ModelSource = Annotated[ModelFolder | HubModel | TinyModel, Field(discriminator="source")]


class DatasetFile(Frozen):
    """MLPerf's ``cnn_eval.json``: a list of objects with ``input``, ``tok_input``, ``output``."""

    source: Literal["file"] = "file"
    path: str
    sha256: Sha256 | None = Field(default=None, description="refuse a file with another hash")


class SyntheticDataset(Frozen):
    """Made-up news articles in MLPerf's template, seeded; never an MLPerf result."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0


DatasetSource = Annotated[DatasetFile | SyntheticDataset, Field(discriminator="source")]


class OfficialLength(Frozen):
    """As long as MLPerf asks: the whole dataset and at least 600 s."""

    kind: Literal["official"] = "official"

    @property
    def samples(self) -> int:
        return DATASET_SAMPLES


class ShortLength(Frozen):
    """An explicit short run; every result of it is labelled so."""

    kind: Literal["short"] = "short"
    samples: int = Field(ge=1, le=DATASET_SAMPLES, description="dataset samples in use")
    server_queries: int = Field(
        default=500,
        ge=1,
        description="queries of a Server run; under "
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
    target_qps: float = Field(
        gt=0,
        description="Server: queries per second that LoadGen sends. "
        "Offline: expected samples per second, which sets the length of the run",
    )


class InactivityLimits(Frozen):
    """Seconds without progress after which a phase is ended. Not limits on its length."""

    prepare_s: float = Field(default=1800, gt=0, description="model and dataset put in place")
    load_s: float = Field(default=1800, gt=0, description="engine started, warmed up")
    generate_s: float = Field(default=300, gt=0, description="a LoadGen run")
    score_s: float = Field(default=900, gt=0, description="ROUGE computed")


class RunPlan(Document):
    """The resolved plan of one host. Written once, before anything runs."""

    run_id: Name
    host: Name
    profile: str
    build: Build
    runtime: Runtime
    engine: EngineSettings
    generation: Generation
    environment: dict[str, str]
    model: ModelSource
    dataset: DatasetSource
    length: RunLength
    scenarios: tuple[ScenarioPlan, ...] = Field(min_length=1)
    inactivity: InactivityLimits

    @model_validator(mode="after")
    def _is_consistent(self) -> RunPlan:
        names = [item.scenario for item in self.scenarios]
        if len(set(names)) != len(names):
            raise ValueError("a scenario is named twice")
        if any(len(set(item.modes)) != len(item.modes) for item in self.scenarios):
            raise ValueError("a mode is named twice")
        if self.generation.max_tokens >= self.engine.max_model_len:
            raise ValueError("generation.max_tokens must be below engine.max_model_len")
        return self

    @property
    def plan_hash(self) -> str:
        """SHA-256 of all that decides the result: equal for two hosts that run the same."""
        return digest(self.shared)

    @property
    def shared(self) -> dict[str, object]:
        """The plan as JSON values without what names one run and one host."""
        return self.model_dump(mode="json", exclude={"run_id", "host"})

    @property
    def phases(self) -> tuple[tuple[Scenario, Mode], ...]:
        """The LoadGen runs in their order."""
        return tuple((item.scenario, mode) for item in self.scenarios for mode in item.modes)

    def scenario(self, scenario: Scenario) -> ScenarioPlan:
        return next(item for item in self.scenarios if item.scenario == scenario)

    @property
    def labels(self) -> tuple[str, ...]:
        """What keeps this plan's numbers from counting as MLPerf; empty if nothing does."""
        found = []
        if self.length.kind == "short":
            found.append("short")
        if self.dataset.source == "synthetic":
            found.append("synthetic-dataset")
        if self.model.source == "tiny" or self.engine.load_format == "dummy":
            found.append("random-weights")
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
