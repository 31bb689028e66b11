"""An inventory's settings: every ``loadfleet_*`` variable, checked before a host is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from loadfleet_agent.contract.base import NAME_PATTERN, Frozen, Name
from loadfleet_agent.contract.dataset import DatasetFile
from loadfleet_agent.contract.evaluation import Shard
from loadfleet_agent.contract.plan import RunPlan, Runtime
from loadfleet_agent.contract.profile import ProfileError, describe_errors, load_profile
from loadfleet_agent.contract.settings import (
    HostSettings,
    SettingsError,
    parse_settings,
    resolve_plan,
    suggest,
)
from pydantic import Field, ValidationError

from .prices import Prices

PREFIX = "loadfleet_"


class FleetSettings(Frozen):
    """Settings of how a run is carried out; none of them changes a result."""

    hosts: str = Field(default="all", description="pattern of the hosts that take part")
    run_id: Name | None = Field(
        default=None, description="id of a new run, or of one to go on with; default: made"
    )
    home: str = Field(
        default="/var/lib/loadfleet",
        pattern="^/",
        description="the agent's data folder on the host: runs, caches, its environment",
    )
    python: str | None = Field(
        default=None,
        description="Python (3.11 or newer) of the agent on the host; default: Ansible's there",
    )
    results_dir: str = Field(
        default="results", description="folder on the controller, relative to the project"
    )
    reports_dir: str = Field(
        default="reports", description="folder on the controller with the newest report"
    )
    wheelhouse_store: str = Field(
        default=".loadfleet/wheelhouses", description="folder on the controller for wheelhouses"
    )
    dataset_from_controller: bool = Field(
        default=False, description="dataset.path is on the controller; copy it to the hosts"
    )
    collect_accuracy_logs: bool = Field(
        default=False, description="fetch mlperf_log_accuracy.json too (15 MB a host and scenario)"
    )
    poll_s: float = Field(default=3.0, gt=0, description="seconds between looks at a host")
    print_s: float = Field(default=10.0, ge=0, description="at most one line a host in so long")
    lost_s: float = Field(
        default=900.0, gt=0, description="give up a host that gave no news for so long"
    )
    price_per_gpu_hour: float | None = Field(
        default=None,
        ge=0,
        description="of one GPU, in any currency; the report then has the cost of output tokens",
    )
    price_per_kwh: float | None = Field(
        default=None, ge=0, description="of electricity, in the same currency"
    )

    sync_wait_s: float = Field(
        default=1500.0,
        gt=0,
        description="with sync_start: hosts that are ready wait so long for the others, then start "
        "without them; less than inactivity.barrier_s, after which a host gives up by itself",
    )
    study: Literal["scaling"] | None = Field(
        default=None,
        description="scaling: measure Offline on each host alone and on all together, in turns, "
        "and report how much of its speed a host keeps",
    )
    study_repeats: int = Field(
        default=3, ge=1, le=20, description="how often a study measures alone and together"
    )
    study_hosts: int = Field(
        default=4, ge=2, description="a study takes so many hosts, the first of those selected"
    )

    @property
    def prices(self) -> Prices:
        return Prices(per_gpu_hour=self.price_per_gpu_hour, per_kwh=self.price_per_kwh)


UNFIT_NAME = (
    "a host's name in the inventory names files: give it one of letters, digits, dot, dash and "
    "underscore, 63 at the most and none of the last three first, and its address in ansible_host"
)
KNOWN_KEYS = tuple(FleetSettings.model_fields) + tuple(HostSettings.model_fields)


class InventoryError(ValueError):
    """One or more settings are wrong; the text has a line for each: where, key, what to do."""


@dataclass(frozen=True)
class PlannedHost:
    """A host of the inventory whose settings are right."""

    name: str
    fleet: FleetSettings
    plan: RunPlan
    shares_questions: bool = False
    """Whether its part of MMLU is shared out over the hosts of its plan."""
    brought: Mapping[str, str] = field(default_factory=dict)
    """Files of the dataset that come from the controller: path on the host to path there."""

    def in_run(self, run_id: str) -> PlannedHost:
        """The same host planned for this run."""
        return self.with_plan(self.plan.model_copy(update={"run_id": run_id}))

    def with_shard(self, shard: Shard) -> PlannedHost:
        """The same host, asked this share of MMLU's questions."""
        evaluations = tuple(
            item if item.mmlu is None else item.model_copy(update={"shard": shard})
            for item in self.plan.evaluations
        )
        return self.with_plan(self.plan.model_copy(update={"evaluations": evaluations}))

    @property
    def shard(self) -> Shard:
        """Of MMLU's questions."""
        shards = (item.shard for item in self.plan.evaluations if item.mmlu is not None)
        return next(shards, Shard())

    @property
    def unsharded_hash(self) -> str:
        """Hash of its plan if it were asked all questions: equal for hosts that share them."""
        return self.with_shard(Shard()).plan.plan_hash

    def with_plan(self, plan: RunPlan) -> PlannedHost:
        """The same host with another plan."""
        return replace(self, plan=plan)


@dataclass(frozen=True)
class Deployment:
    """What is installed on a host."""

    runtime: Runtime
    build: str
    """Wheelhouse of the host's own environment: cpu, cuda, image (all but vLLM) for the null
    engine, or client beside a container."""


def deployment(variables: Mapping[str, Any], project: Path) -> Deployment:
    """From a host's variables. Raises SettingsError if its profile or runtime is wrong."""
    name = str(variables.get(f"{PREFIX}profile", HostSettings.model_fields["profile"].default))
    try:
        runtime = Runtime(variables.get(f"{PREFIX}runtime", Runtime.VENV))
    except ValueError as error:
        raise SettingsError("runtime", f"must be {' or '.join(Runtime)}") from error
    if runtime is Runtime.CONTAINER:
        return Deployment(runtime, "client")
    if name.endswith((".yaml", ".yml")):
        name = str(_on_controller(name, project))
    try:
        profile = load_profile(name)
    except ProfileError as error:
        raise SettingsError("profile", str(error)) from error
    overridden = variables.get(f"{PREFIX}engine")
    engine = overridden if isinstance(overridden, Mapping) else {}
    # The null engine needs no vLLM, which is most of what is copied and installed.
    is_null = engine.get("kind", profile.engine.kind) == "null"
    return Deployment(runtime, "image" if is_null else profile.build.value)


Origin = Callable[[str, Any], str]
"""Where a variable was set, from its name and value, as 'file:line'; '' if unknown."""


def plan_hosts(
    hosts: Mapping[str, Mapping[str, Any]], run_id: str, origin: Origin, project: Path
) -> list[PlannedHost]:
    """A plan for each host from its variables.

    Raises InventoryError with every finding, the same one of many hosts told once.
    """
    planned: list[PlannedHost] = []
    findings: dict[str, list[str]] = {}
    for name, variables in hosts.items():
        ours = {key: value for key, value in variables.items() if key.startswith(PREFIX)}
        wrong = [
            SettingsError(key, f"no such setting{_suggest(key)}")
            for key in (name.removeprefix(PREFIX) for name in ours)
            if key not in KNOWN_KEYS
        ]
        if not re.fullmatch(NAME_PATTERN, name):
            wrong.append(SettingsError("", UNFIT_NAME))
        if not wrong:
            try:
                planned.append(_plan_host(name, ours, run_id, project))
            except SettingsError as error:
                wrong.append(error)
        for finding in wrong:
            key = f"{PREFIX}{finding.key}" if finding.key else "the settings"
            where = origin(key, ours[key]) if key in ours else ""
            text = f"{where + ': ' if where else ''}{key}: {finding.message}"
            findings.setdefault(text, []).append(name)
    if findings:
        raise InventoryError(
            "\n".join(f"{text} (host {_some(names)})" for text, names in findings.items())
        )
    return share_questions(planned)


def share_questions(planned: Sequence[PlannedHost]) -> list[PlannedHost]:
    """The hosts, those with ``mmlu_shard: fleet`` and one plan each with a shard of their own."""
    sharing: dict[str, list[str]] = {}
    for host in planned:
        if host.shares_questions:
            sharing.setdefault(host.unsharded_hash, []).append(host.name)

    def share(host: PlannedHost) -> PlannedHost:
        names = sharing[host.unsharded_hash]
        return host.with_shard(Shard(index=names.index(host.name), of=len(names)))

    return [share(host) if host.shares_questions else host for host in planned]


def keep_shards(planned: Sequence[PlannedHost], opened: Mapping[str, RunPlan]) -> list[PlannedHost]:
    """The hosts of a run that goes on: each keeps the shard that it has in the run.

    ``opened``: plans of the run's hosts, also of those that are not selected now. Raises
    InventoryError for a host that has come to those that share the questions.
    """
    before = {name: PlannedHost(name, FleetSettings(), plan) for name, plan in opened.items()}
    shared_out = {host.unsharded_hash for host in before.values() if host.shard.of > 1}
    came = [
        host.name
        for host in planned
        if host.shares_questions and host.name not in before and host.unsharded_hash in shared_out
    ]
    if came:
        raise InventoryError(
            f"{PREFIX}mmlu_shard: {_some(came)} came after the run's hosts had shared MMLU's "
            f"questions among them: leave it out, or give another {PREFIX}run_id"
        )
    new = share_questions([host for host in planned if host.name not in before])
    fresh = {host.name: host for host in new}
    return [
        host.with_shard(before[host.name].shard)
        if host.shares_questions and host.name in before and host.unsharded_hash in shared_out
        else fresh.get(host.name, host)
        for host in planned
    ]


def _plan_host(name: str, variables: dict[str, Any], run_id: str, project: Path) -> PlannedHost:
    values = {key.removeprefix(PREFIX): value for key, value in variables.items()}
    try:
        fleet = FleetSettings.model_validate(
            {key: value for key, value in values.items() if key in FleetSettings.model_fields}
        )
    except ValidationError as error:
        raise SettingsError(str(error.errors()[0]["loc"][0]), describe_errors(error)) from error
    settings = parse_settings(
        {key: value for key, value in values.items() if key in HostSettings.model_fields}
    )
    if settings.profile.endswith((".yaml", ".yml")):
        profile = str(_on_controller(settings.profile, project))
        settings = settings.model_copy(update={"profile": profile})
    brought: dict[str, str] = {}
    if fleet.dataset_from_controller and settings.dataset is not None:
        chain = tuple(
            _bring(source, fleet.home, project, brought) if source.source == "file" else source
            for source in settings.dataset
        )
        settings = settings.model_copy(update={"dataset": chain})
    return PlannedHost(
        name,
        fleet,
        resolve_plan(settings, run_id=run_id, host=name),
        shares_questions=settings.mmlu_shard == "fleet",
        brought=brought,
    )


def _bring(file: DatasetFile, home: str, project: Path, brought: dict[str, str]) -> DatasetFile:
    """The file as it will be on the host; notes in ``brought`` what is copied where."""
    source = _on_controller(file.path, project)
    if not source.is_file():
        raise SettingsError("dataset", f"path: no such file on the controller: {source}")
    moved = f"{home}/datasets/{source.name}"
    if brought.setdefault(moved, str(source)) != str(source):
        raise SettingsError("dataset", f"path: two files of the name {source.name}")
    return file.model_copy(update={"path": moved})


def _on_controller(path: str, project: Path) -> Path:
    return (project / Path(path).expanduser()).resolve()


def _suggest(key: str) -> str:
    text = suggest(key, list(KNOWN_KEYS))
    return text.replace("did you mean ", f"did you mean {PREFIX}") if text else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
