"""A study on the controller: which runs it has, and which of them are still to be made.

``results/<study id>/study.json`` is written before a host is touched. Each of its runs is an
ordinary one with a folder of its own below, with its own record, plans, verdicts and report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from loadfleet_agent.contract.base import Document, Frozen, Name, Sha256, UtcTime
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.files import private_folder, write_model
from loadfleet_agent.contract.plan import RunPlan, ScenarioPlan
from pydantic import Field, ValidationError

from ..fleet.record import RUN_RECORD, open_run, read_record
from ..fleet.settings import InventoryError, PlannedHost

STUDY_RECORD = "study.json"
LONGEST_ID = 63


class StudyRun(Frozen):
    """One run of a study."""

    run_id: Name
    repeat: int = Field(ge=1)
    together: bool = Field(description="of all hosts, started at one moment; else of one alone")
    hosts: tuple[str, ...] = Field(min_length=1)


class StudyRecord(Document):
    """study.json."""

    study_id: Name
    kind: Literal["scaling"] = "scaling"
    created_utc: UtcTime
    repeats: int = Field(ge=1)
    hosts: dict[str, Sha256] = Field(description="host to the hash of its plan")
    runs: tuple[StudyRun, ...] = Field(description="in the order in which they are made")


def is_study(folder: Path) -> bool:
    return (folder / STUDY_RECORD).is_file()


def read_study(folder: Path) -> StudyRecord:
    """Raises InventoryError if the record is absent or unreadable."""
    path = folder / STUDY_RECORD
    try:
        return StudyRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise InventoryError(f"{path}: not a study's record of this version") from error


def is_finished(folder: Path, run: StudyRun) -> bool:
    """Whether no host of a run needs a second look."""
    try:
        return read_record(folder / run.run_id).closed
    except InventoryError:
        return False


def choose_study(results: Path, asked: str | None, now: datetime) -> tuple[str, bool]:
    """The study to work on, and whether it is there already: the newest if it is not finished.

    Raises InventoryError where ``asked`` is an ordinary run.
    """
    if asked is not None:
        if (results / asked / RUN_RECORD).is_file():
            raise InventoryError(f"loadfleet_run_id: {asked} is a run and not a study")
        return asked, is_study(results / asked)
    newest = _newest(results)
    if newest is not None:
        folder = results / newest.study_id
        if not all(is_finished(folder, run) for run in newest.runs):
            return newest.study_id, True
    name = f"{now:%Y%m%dT%H%M%SZ}-scaling"
    suffix = 2
    while (results / name).exists():
        name = f"{now:%Y%m%dT%H%M%SZ}-scaling-{suffix}"
        suffix += 1
    return name, False


def refuse_study(results: Path, run_id: str | None) -> None:
    """Raises InventoryError where an ordinary run is asked for under a study's id."""
    if run_id is not None and is_study(results / run_id):
        raise InventoryError(
            f"loadfleet_run_id: {run_id} is a study: add -e loadfleet_study=scaling"
        )


def study_hosts(planned: Sequence[PlannedHost]) -> list[PlannedHost]:
    """The hosts that a study takes of those selected, with Offline's performance run alone.

    Raises InventoryError if there are too few or a plan has no Offline.
    """
    taken = planned[: planned[0].fleet.study_hosts]
    if len(taken) < 2:
        raise InventoryError(
            f"loadfleet_study: scaling needs two hosts or more, and {taken[0].name} alone is "
            "selected"
        )
    lacking = [host.name for host in taken if Scenario.OFFLINE not in _scenarios(host.plan)]
    if lacking:
        raise InventoryError(
            f"loadfleet_study: scaling measures Offline, the scenario whose result is a "
            f"throughput, and loadfleet_scenarios of host {lacking[0]} has none: add Offline, or "
            "leave the setting out"
        )
    return [with_offline_alone(host, sync_start=True) for host in taken]


def with_offline_alone(host: PlannedHost, *, sync_start: bool) -> PlannedHost:
    """The host with a plan of Offline's performance run and nothing else."""
    kept: ScenarioPlan = host.plan.scenario(Scenario.OFFLINE)
    changes = {
        "scenarios": (kept.model_copy(update={"modes": (Mode.PERFORMANCE,)}),),
        "evaluations": (),
        "sync_start": sync_start,
    }
    return host.with_plan(host.plan.model_copy(update=changes))


def study_runs(study_id: str, hosts: Sequence[str], repeats: int) -> tuple[StudyRun, ...]:
    """The runs in their order: in turns, and every second repeat the other way round, so that
    what drifts with time (heat, a busy network) falls on both sides alike."""
    runs: list[StudyRun] = []
    for repeat in range(1, repeats + 1):
        of_repeat = [_run(study_id, repeat, "together", hosts)]
        for number, host in enumerate(hosts, start=1):
            of_repeat.append(_run(study_id, repeat, f"alone-{host}", (host,), f"alone-{number}"))
        runs += of_repeat if repeat % 2 else reversed(of_repeat)
    return tuple(runs)


def open_study(
    results: Path,
    study_id: str,
    planned: Sequence[PlannedHost],
    now: datetime,
    *,
    asked: bool,
) -> StudyRecord:
    """Writes the record of a new study, and record and plans of each run that is to be made.

    Raises InventoryError if the study is there with other hosts, plans or repeats.
    """
    folder = results / study_id
    names, repeats = [host.name for host in planned], planned[0].fleet.study_repeats
    record = StudyRecord(
        study_id=study_id,
        created_utc=now,
        repeats=repeats,
        hosts={host.name: host.plan.plan_hash for host in planned},
        runs=study_runs(study_id, names, repeats),
    )
    if is_study(folder):
        earlier = read_study(folder)
        _require_same(earlier, record, asked=asked)
        record = earlier
    else:
        private_folder(folder)
        write_model(folder / STUDY_RECORD, record)
    by_name = {host.name: host for host in planned}
    for run in record.runs:
        if not is_finished(folder, run):
            hosts = [in_study_run(by_name[name], run) for name in run.hosts]
            open_run(folder, run.run_id, hosts, list(run.hosts), now, asked=asked)
    return record


def in_study_run(host: PlannedHost, run: StudyRun) -> PlannedHost:
    """The host as it is planned for one run of the study."""
    return with_offline_alone(host, sync_start=run.together).in_run(run.run_id)


def _require_same(earlier: StudyRecord, record: StudyRecord, *, asked: bool) -> None:
    if list(earlier.hosts) != list(record.hosts):
        what = f"for hosts {', '.join(earlier.hosts)}"
    elif earlier.repeats != record.repeats:
        what = f"with {earlier.repeats} repeats"
    elif earlier.hosts != record.hosts:
        other = [name for name, digest in record.hosts.items() if earlier.hosts[name] != digest]
        what = f"with other settings of host {other[0]}"
    else:
        return
    raise InventoryError(
        f"study {earlier.study_id} is there and was planned {what}: "
        + (
            "give another loadfleet_run_id"
            if asked
            else "go on with it as it was planned, or start anew with "
            "-e loadfleet_run_id=<a new id>"
        )
    )


def _run(study_id: str, repeat: int, name: str, hosts: Sequence[str], short: str = "") -> StudyRun:
    run_id = f"{study_id}-{repeat}-{name}"
    if len(run_id) > LONGEST_ID:  # a long host name: its place in the study tells it as well
        run_id = f"{study_id}-{repeat}-{short}"
    return StudyRun(run_id=run_id, repeat=repeat, together=len(hosts) > 1, hosts=tuple(hosts))


def _newest(results: Path) -> StudyRecord | None:
    records = []
    for path in results.glob(f"*/{STUDY_RECORD}"):
        if not path.parent.is_symlink():
            try:
                records.append(read_study(path.parent))
            except InventoryError:
                continue
    return max(records, key=lambda record: (record.created_utc, record.study_id), default=None)


def _scenarios(plan: RunPlan) -> list[Scenario]:
    return [item.scenario for item in plan.scenarios]
