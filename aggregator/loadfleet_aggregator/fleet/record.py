"""The record of a run on the controller, and which run a command goes on with.

``results/<run_id>/run.json`` is written before a host is touched. A run is open until every
selected host has finished (validly or not); an open run with the same plans is continued, so
that the same command again, after whatever stopped it, picks up where it was.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from loadfleet_agent.contract.base import Document, Frozen, Name, Sha256, UtcTime
from loadfleet_agent.contract.files import private_folder, write_model
from loadfleet_agent.contract.plan import RunPlan, differing_keys
from pydantic import Field, ValidationError

from .prices import Prices
from .settings import InventoryError, PlannedHost

RUN_RECORD = "run.json"
PLANS = "plans"
HOSTS = "hosts"
ARCHIVES = "archives"
"""What was fetched and not unpacked yet."""
CONTROLLER = "controller"
LATEST = "latest"


class HostRecord(Frozen):
    """A host of the inventory as it was planned; plan_hash is None if it was not selected."""

    plan_hash: Sha256 | None
    home: str | None = None
    finished: bool = Field(default=False, description="has a complete result, collected")
    prices: Prices = Field(default=Prices(), description="that a report reckons with")


class RunRecord(Document):
    """run.json."""

    run_id: Name
    created_utc: UtcTime
    closed: bool
    hosts: dict[str, HostRecord]

    @property
    def selected(self) -> list[str]:
        return [name for name, host in self.hosts.items() if host.plan_hash is not None]


class ControllerNote(Document):
    """controller/<host>.json: what the controller saw of a host that the host cannot tell."""

    host: str
    state: str = Field(description="collected, unreachable, failed or not-run")
    step: str = Field(description="the step at which it failed, or ''")
    message: str
    noted_utc: UtcTime | None = Field(default=None, description="by the controller's clock")
    clock_offset_s: float | None = Field(
        default=None, description="the host's clock less the controller's; None: not measured"
    )
    clock_error_s: float | None = Field(
        default=None, description="most that the offset may be wrong by: half the round trip"
    )


def read_record(folder: Path) -> RunRecord:
    """Raises InventoryError if the record is absent or unreadable."""
    try:
        return RunRecord.model_validate_json((folder / RUN_RECORD).read_bytes())
    except OSError as error:
        raise InventoryError(f"{folder / RUN_RECORD}: {error.strerror}") from error
    except ValidationError as error:
        raise InventoryError(f"{folder / RUN_RECORD}: not a run record of this version") from error


def read_plan(folder: Path, host: str) -> RunPlan | None:
    """The plan that was made for a host; None if there is none that can be read."""
    try:
        return RunPlan.model_validate_json((folder / PLANS / f"{host}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def read_plans(folder: Path) -> dict[str, RunPlan]:
    """Host to the plan that a run has for it; what cannot be read is left out."""
    hosts = sorted(path.stem for path in (folder / PLANS).glob("*.json"))
    return {host: plan for host in hosts if (plan := read_plan(folder, host)) is not None}


def write_record(folder: Path, record: RunRecord) -> None:
    write_model(folder / RUN_RECORD, record)


def newest_run(results: Path) -> RunRecord | None:
    """The record of the run that was created last, or None."""
    records = []
    for path in results.glob(f"*/{RUN_RECORD}"):
        if not path.parent.is_symlink():
            try:
                records.append(read_record(path.parent))
            except InventoryError:
                continue
    return max(records, key=lambda record: (record.created_utc, record.run_id), default=None)


def choose_run_id(results: Path, asked: str | None, now: datetime) -> tuple[str, bool]:
    """The run to work on, and whether it is an open one that is continued.

    Without ``asked`` that is the newest run if it is still open, else a new one.
    """
    if asked is not None:
        return asked, (results / asked / RUN_RECORD).is_file()
    newest = newest_run(results)
    if newest is not None and not newest.closed:
        return newest.run_id, True
    name = f"{now:%Y%m%dT%H%M%SZ}-llama3-1-8b"
    suffix = 2
    while (results / name).exists():
        name = f"{now:%Y%m%dT%H%M%SZ}-llama3-1-8b-{suffix}"
        suffix += 1
    return name, False


def open_run(
    results: Path,
    run_id: str,
    planned: list[PlannedHost],
    inventory: list[str],
    now: datetime,
    *,
    asked: bool,
) -> RunRecord:
    """Writes (or extends) the record and the plans of a run; returns the record.

    Raises InventoryError if the run exists with another plan for one of these hosts.
    """
    folder = results / run_id
    hosts = {name: HostRecord(plan_hash=None) for name in inventory}
    created = now
    if (folder / RUN_RECORD).is_file():
        earlier = read_record(folder)
        created = earlier.created_utc
        hosts |= earlier.hosts
        _require_same_plans(folder, earlier, planned, asked=asked)
    for host in planned:
        before = hosts.get(host.name)
        hosts[host.name] = HostRecord(
            plan_hash=host.plan.plan_hash,
            home=host.fleet.home,
            finished=before.finished if before else False,
            prices=host.fleet.prices,
        )
    record = RunRecord(run_id=run_id, created_utc=created, closed=False, hosts=hosts)
    # With text of answers, where accuracy logs are collected.
    for name in (PLANS, ARCHIVES, HOSTS):
        private_folder(folder / name)
    for host in planned:
        write_model(folder / PLANS / f"{host.name}.json", host.plan)
    write_record(folder, record)
    return record


def _require_same_plans(
    folder: Path, earlier: RunRecord, planned: list[PlannedHost], *, asked: bool
) -> None:
    for host in planned:
        before = earlier.hosts.get(host.name)
        if before is None or before.plan_hash is None:
            continue
        differing = _differing_keys(folder, host)
        if before.plan_hash == host.plan.plan_hash and differing != "sync_start":
            continue
        raise InventoryError(
            f"run {earlier.run_id} is {'closed' if earlier.closed else 'not finished'} and was "
            f"planned otherwise for host {host.name} (differs in {differing}): "
            + (
                "give another loadfleet_run_id"
                if asked
                else "go on with it under its settings, or start anew with "
                "-e loadfleet_run_id=<a new id>"
            )
        )


def _differing_keys(folder: Path, host: PlannedHost) -> str:
    before = read_plan(folder, host.name)
    return "its whole plan" if before is None else ", ".join(differing_keys(before, host.plan))


@contextmanager
def only_one_controller(results: Path) -> Iterator[None]:
    """Keeps two commands from opening a run, or reporting on one, at the same instant."""
    private_folder(results)
    with (results / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
