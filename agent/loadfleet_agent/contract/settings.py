"""HostSettings: what a user sets for a host, and how a RunPlan is resolved from it."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import Field, ValidationError

from .base import Frozen
from .benchmark import SCENARIOS, Mode, Scenario, Suite
from .dataset import DatasetChain
from .evaluation import (
    MMLU_MAX_MODEL_LEN,
    Benchmark,
    EvaluationPlan,
    HubMmlu,
    MmluData,
    MmluSplit,
    MmluTask,
    NamedTasks,
    Shard,
)
from .model import ModelSource
from .plan import (
    InactivityLimits,
    OfficialLength,
    RunPlan,
    Runtime,
    ScenarioPlan,
    ShortLength,
)
from .profile import EngineSettings, Generation, ProfileError, describe_errors, load_profile
from .rate_search import RateSearch


class HostSettings(Frozen):
    """The settings of a run on one host; in an inventory each has the prefix ``loadfleet_``."""

    suite: Suite = Field(
        default=Suite.DATACENTER,
        description="datacenter (13,368 samples) or edge (5,000): which of MLPerf's benchmarks",
    )
    profile: str = Field(
        default="a30-bf16", description="name of a shipped profile, or path of a profile file"
    )
    runtime: Runtime = Field(
        default=Runtime.VENV,
        description="venv, or container: what agent and engine run in on the host",
    )
    engine: dict[str, Any] = Field(
        default={}, description="engine settings that replace the profile's, key by key"
    )
    generation: dict[str, Any] = Field(
        default={}, description="generation settings that replace the profile's, key by key"
    )
    environment: dict[str, str] = Field(
        default={}, description="environment variables of the engine, added to the profile's"
    )
    model: ModelSource | None = Field(
        default=None,
        description="source: path, hub, tiny or dummy, with its keys; default: the profile's",
    )
    dataset: DatasetChain | None = Field(
        default=None,
        description="source: mlcommons, file, rebuilt or synthetic, with its keys; or a list of "
        "them, of which the first that is there is used; default: the profile's",
    )
    benchmarks: tuple[Benchmark, ...] = Field(
        default=(Benchmark.MLPERF,),
        description="what is measured, with one engine and the same settings: mlperf, mmlu or both",
    )
    mmlu_tasks: tuple[MmluTask, ...] = Field(
        default=(MmluTask.LLAMA,),
        description="forms of MMLU, by lm_eval's names: mmlu (log-likelihood), mmlu_generative, "
        "mmlu_llama (Meta's, 5-shot), mmlu_cot_llama (Meta's chain of thought)",
    )
    mmlu_split: MmluSplit = Field(
        default="test", description="test (14,042 questions), or validation (1,531)"
    )
    mmlu_shots: int | None = Field(
        default=None,
        ge=0,
        le=5,
        description="examples before each question, of the dev split; default: the task's own",
    )
    mmlu_data: MmluData = Field(
        default=HubMmlu(),
        description="source: hub (cais/mmlu at a commit, fetched before), path or synthetic",
    )
    mmlu_shard: Literal["host", "fleet"] | Shard = Field(
        default="host",
        description="host: each host is asked all questions; fleet: hosts of one plan share them; "
        "by hand index and of",
    )
    mmlu_samples: int | None = Field(
        default=None,
        ge=1,
        description="only so many questions of each subject, its first; such a result is labelled",
    )
    evaluations: NamedTasks = Field(
        default=(),
        max_length=30,
        description="other tasks of lm_eval by name (gsm8k, ifeval), or task with shots, samples "
        "and chat_template; their data must be in the host's caches",
    )
    length: Literal["official"] | ShortLength = Field(
        default="official",
        description="official, or samples and server_queries of an explicit short run",
    )
    scenarios: tuple[Scenario, ...] | None = Field(
        default=None,
        min_length=1,
        description="what is run, in this order, of Offline, Server, Interactive (datacenter), "
        "SingleStream, Offline (edge); default: Offline and Server, on edge both",
    )
    modes: tuple[Mode, ...] | None = Field(
        default=None,
        min_length=1,
        description="what is run of each scenario, in this order, of performance, accuracy and "
        "test06, the compliance test of the closed datacenter division; default: the profile's, "
        "mostly performance and accuracy",
    )
    offline_target_qps: float | None = Field(
        default=None,
        gt=0,
        description="expected Offline samples per second, which sets the length; default: "
        "measured by a short run",
    )
    server_target_qps: float | None = Field(
        default=None,
        gt=0,
        description="Server queries per second that LoadGen sends; default: found by short runs",
    )
    interactive_target_qps: float | None = Field(
        default=None, gt=0, description="the same for Interactive"
    )
    single_stream_target_latency_ms: float = Field(
        default=1000.0,
        gt=0,
        description="SingleStream: expected time of an answer. LoadGen asks for twice as many as "
        "fill 600 s, at least 5,000: lower it where an answer takes less than 120 ms",
    )
    rate_search: RateSearch = Field(
        default=RateSearch(), description="how a rate is found that is not given"
    )
    inactivity: InactivityLimits = Field(
        default=InactivityLimits(), description="seconds without progress that end a phase"
    )
    sync_start: bool = Field(
        default=False,
        description="true: each performance run starts at one moment on all hosts, so that their "
        "joint throughput is measured; by hand, after loadfleet-agent go",
    )


class SettingsError(ValueError):
    """A setting is wrong. ``key`` is the setting's name without prefix, or ''."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


def suggest(key: str, known: list[str]) -> str:
    """'; did you mean ...?' for a misspelt key, or ''."""
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def parse_settings(values: dict[str, Any]) -> HostSettings:
    """Settings from plain values (of YAML or flags).

    Raises SettingsError with the offending key.
    """
    known = list(HostSettings.model_fields)
    for key in values:
        if key not in known:
            raise SettingsError(key, f"no such setting{suggest(key, known)}")
    try:
        return HostSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(str(first["loc"][0]), describe_errors(error)) from error


def resolve_plan(settings: HostSettings, *, run_id: str, host: str) -> RunPlan:
    """The plan that these settings and their profile mean, every default filled in.

    Raises SettingsError if the profile is wrong or an override has an unknown key.
    """
    try:
        profile = load_profile(settings.profile)
    except ProfileError as error:
        raise SettingsError("profile", str(error)) from error
    evaluations = _evaluations(settings)
    overridden: dict[str, Any] = {}
    for key, kind in (("engine", EngineSettings), ("generation", Generation)):
        given: dict[str, Any] = getattr(settings, key)
        base = getattr(profile, key).model_dump()
        for name in given:
            if name not in base:
                raise SettingsError(key, f"no such key {name!r}{suggest(name, list(base))}")
        if key == "engine" and evaluations:
            # One engine for all that is measured: LoadGen's runs have the context that five shots
            # need, unless the user says which.
            base["max_model_len"] = max(base["max_model_len"], MMLU_MAX_MODEL_LEN)
        try:
            overridden[key] = kind.model_validate(base | given)
        except ValidationError as error:
            raise SettingsError(key, describe_errors(error)) from error
    rates = {
        Scenario.OFFLINE: settings.offline_target_qps,
        Scenario.SERVER: settings.server_target_qps,
        Scenario.INTERACTIVE: settings.interactive_target_qps,
        Scenario.SINGLE_STREAM: None,
    }
    model, dataset = settings.model or profile.model, settings.dataset or profile.dataset
    unnamed = f"missing: the profile {settings.profile} names none"
    if model is None:
        raise SettingsError("model", unnamed)
    if dataset is None:
        raise SettingsError("dataset", unnamed)
    usual = [item for item in SCENARIOS[settings.suite] if item is not Scenario.INTERACTIVE]
    scenarios = (settings.scenarios or usual) if Benchmark.MLPERF in settings.benchmarks else ()
    try:
        return RunPlan(
            run_id=run_id,
            host=host,
            suite=settings.suite,
            profile=settings.profile,
            build=profile.build,
            runtime=settings.runtime,
            engine=overridden["engine"],
            generation=overridden["generation"],
            environment=profile.environment | settings.environment,
            needs=profile.needs,
            model=model,
            dataset=dataset,
            length=OfficialLength() if settings.length == "official" else settings.length,
            scenarios=tuple(
                ScenarioPlan(
                    scenario=item,
                    modes=settings.modes or profile.modes,
                    target_qps=rates[item],
                    target_latency_ms=settings.single_stream_target_latency_ms
                    if item is Scenario.SINGLE_STREAM
                    else None,
                )
                for item in scenarios
            ),
            evaluations=evaluations,
            rate_search=settings.rate_search,
            inactivity=settings.inactivity,
            sync_start=settings.sync_start,
        )
    except ValidationError as error:
        raise SettingsError("", describe_errors(error)) from error


def _evaluations(settings: HostSettings) -> tuple[EvaluationPlan, ...]:
    """MMLU in the forms that are asked for, then the other tasks.

    Questions that hosts share are shared out where all hosts are known; here a host has them all.
    """
    for key in ("benchmarks", "mmlu_tasks"):
        values = getattr(settings, key)
        if not values:
            raise SettingsError(key, "name at least one")
        if len(set(values)) < len(values):
            raise SettingsError(key, "one is named twice")
    shard = settings.mmlu_shard if isinstance(settings.mmlu_shard, Shard) else Shard()
    try:
        mmlu = tuple(
            EvaluationPlan(
                task=task,
                shots=task.shots if settings.mmlu_shots is None else settings.mmlu_shots,
                split=settings.mmlu_split,
                samples=settings.mmlu_samples,
                data=settings.mmlu_data,
                chat_template=task.chat,
                shard=shard,
            )
            for task in settings.mmlu_tasks
            if Benchmark.MMLU in settings.benchmarks
        )
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingsError("mmlu_shots", message) from error
    others = tuple(
        EvaluationPlan(
            task=item.task,
            shots=item.shots,
            samples=item.samples,
            chat_template=item.chat_template,
        )
        for item in settings.evaluations
    )
    return mmlu + others
