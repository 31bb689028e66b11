"""The runs of a data folder: start or attach, look, wait, stop. One runs at a time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from pydantic import ValidationError

from .contract.base import utc_now
from .contract.files import folder_for_all, passable_folder, write_model
from .contract.host import HostFacts
from .contract.plan import RunPlan, Runtime, differing_keys
from .contract.result import HostResult
from .contract.run_folder import MANIFEST, PLAN, RESULT, STATUS
from .contract.status import FailureCode, State, Status
from .failure import RunFailure
from .host.facts import container_image, host_facts
from .host.locks import Busy, RunLocks, holder, starting
from .host.owner import as_owner
from .launch import launch
from .units import container_unit, require_container_unit, stop_unit, venv_unit

START_S = 120.0
STOP_S = 180.0
FRESH_S = 30.0
"""A status is written every 2 s; on a busy disk some come late."""


@dataclass(frozen=True)
class RunView:
    """What is known of a run from its folder and its lock."""

    folder: Path
    status: Status | None
    alive: bool

    @property
    def interrupted(self) -> bool:
        """It says that it runs, but no process holds its lock."""
        return self.status is not None and not self.status.state.ended and not self.alive

    @property
    def healthy(self) -> bool:
        """It runs, and its heartbeat is fresh."""
        if self.status is None or self.status.state.ended or not self.alive:
            return False
        return abs((utc_now() - self.status.updated_utc).total_seconds()) < FRESH_S


class Runs:
    """``home`` is the agent's data folder; runs are in ``home/runs/<run id>``."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()

    def folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def latest(self) -> str | None:
        """Id of the run that was started last, or None."""
        folders = sorted((self.home / "runs").glob("*/" + STATUS), key=lambda p: p.stat().st_mtime)
        return folders[-1].parent.name if folders else None

    def view(self, run_id: str) -> RunView:
        # The lock is asked first: an agent writes its last status before it lets the lock go,
        # so a free lock with "running" means that it died.
        alive = (holder(self.home) or {}).get("run_id") == run_id
        folder = self.folder(run_id)
        return RunView(folder, read_status(folder), alive)

    def start(self, plan: RunPlan) -> Literal["started", "resumed", "attached", "finished"]:
        """Starts the run detached, unless it runs or is finished already.

        Raises RunFailure: busy with another run, planned otherwise under the same id, or not
        provisioned for the plan's runtime.
        """
        if plan.runtime is Runtime.CONTAINER:
            require_container_unit(plan.run_id, self.home)
        with starting(self.home):
            return self._start(plan)

    def _start(self, plan: RunPlan) -> Literal["started", "resumed", "attached", "finished"]:
        how = self._admit(plan)
        if how in ("attached", "finished"):
            return how
        folder = self.folder(plan.run_id)
        before = read_status(folder)
        launched = launch(plan, folder, self.home)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            now = read_status(folder)
            if now is not None and (before is None or now.attempt > before.attempt):
                return how
            if (who := holder(self.home)) and who.get("run_id") != plan.run_id:
                raise _busy(self, who)
            if launched.has_ended():
                raise RunFailure(launched.code, f"the agent ended at its start: {launched.said()}")
            time.sleep(0.1)
        raise RunFailure(
            launched.code, f"the agent wrote no status in {START_S:.0f} s: {launched.said()}"
        )

    def run(self, plan: RunPlan, unit: str | None = None) -> HostResult:
        """Runs in this process, to the end. Raises RunFailure as ``start`` does."""
        image = container_image()
        if (plan.runtime is Runtime.CONTAINER) != (image is not None):
            here = f"a container of {image}" if image else "not a container of loadfleet"
            raise RunFailure(
                FailureCode.BAD_PLAN, f"the plan's runtime is {plan.runtime.value}, this is {here}"
            )
        from .run import Run  # heavy, and not there where a container has all that a run needs

        how = self._admit(plan)
        folder = self.folder(plan.run_id)
        if how == "finished":
            return read_result(folder)
        locks = lock_host(self.home, host_facts(), plan.run_id, unit)
        try:
            before = read_status(folder)
            attempt = before.attempt + 1 if before else 1
            return Run(plan, folder, self.home, attempt, unit).execute()
        finally:
            locks.close()

    def wait(self, run_id: str, tell: Callable[[Status], None]) -> RunView:
        """Returns when the run has ended, however it did; ``tell`` gets each new status."""
        told = -1
        dead_polls = 0
        while True:
            view = self.view(run_id)
            if view.status is not None and view.status.seq != told:
                told = view.status.seq
                tell(view.status)
            if view.status is not None and view.status.state.ended and not view.alive:
                return view
            dead_polls = dead_polls + 1 if view.interrupted else 0
            if dead_polls >= 3:
                return view
            time.sleep(0.5)

    def stop(self, run_id: str) -> bool:
        """Ends a run in order; False if it did not run. Raises RunFailure if it does not end."""
        owner = holder(self.home) or {}
        if owner.get("run_id") != run_id or not owner.get("pid"):
            return False
        unit, pid = owner.get("unit"), int(owner["pid"])
        if unit:
            # In a container the pid is one of the container's own; and the lock's text is of
            # the container's user, who must not have root stop another unit.
            if unit not in (venv_unit(run_id, self.home), container_unit(run_id)):
                raise RunFailure(FailureCode.INTERNAL, f"{unit} is no unit of run {run_id}")
            stop_unit(unit, STOP_S)
        elif _is_agent(pid):
            os.kill(pid, signal.SIGTERM)
        else:
            raise RunFailure(
                FailureCode.INTERNAL,
                f"process {pid} is no agent here: run {run_id} is in a container, stop it there",
            )
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline:
            if not self.view(run_id).alive:
                return True
            time.sleep(0.2)
        raise RunFailure(
            FailureCode.INTERNAL,
            f"run {run_id} ({unit or f'pid {pid}'}) did not end in {STOP_S:.0f} s",
        )

    def _admit(self, plan: RunPlan) -> Literal["started", "resumed", "attached", "finished"]:
        folder = self.folder(plan.run_id)
        who = holder(self.home)
        if who and who.get("run_id") != plan.run_id:
            raise _busy(self, who)
        folder_for_all(self.home / "runs")  # a watcher finds status.json there
        with as_owner(self.home):
            passable_folder(folder)
            self._keep_plan(plan, folder)
        if who:
            return "attached"
        status = read_status(folder)
        if status is None:
            return "started"
        if status.state is State.DONE and (folder / MANIFEST).is_file():
            return "finished"
        return "resumed"

    def _keep_plan(self, plan: RunPlan, folder: Path) -> None:
        path = folder / PLAN
        if not path.is_file():
            write_model(path, plan)
            return
        try:
            kept = RunPlan.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RunFailure(
                FailureCode.BAD_PLAN, f"{path}: not a whole plan; start under another run id"
            ) from error
        if differing := differing_keys(kept, plan):
            raise RunFailure(
                FailureCode.BAD_PLAN,
                f"run {plan.run_id} was planned otherwise on this host "
                f"(differs in {', '.join(differing)})",
            )


def lock_host(home: Path, host: HostFacts, run_id: str, unit: str | None = None) -> RunLocks:
    """The data folder and all GPUs of this host, for this process. Raises RunFailure (busy)."""
    owner = {
        "run_id": run_id,
        "since": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}",
        "pid": str(os.getpid()),
        "unit": unit or "",
    }
    try:
        return RunLocks(home, tuple(gpu.uuid for gpu in host.gpus), owner)
    except Busy as error:
        raise RunFailure(FailureCode.BUSY, str(error)) from error


def _is_agent(pid: int) -> bool:
    try:
        words = {Path(word).name for word in psutil.Process(pid).cmdline()}
    except psutil.NoSuchProcess:
        return False
    return not words.isdisjoint({"loadfleet-agent", "loadfleet_agent"})


def read_status(folder: Path) -> Status | None:
    """The run's status, or None while there is none that can be read."""
    try:
        return Status.model_validate_json((folder / STATUS).read_bytes())
    except (OSError, ValidationError):
        return None


def read_result(folder: Path) -> HostResult:
    """The result of a run that has one. Raises OSError or ValidationError."""
    return HostResult.model_validate_json((folder / RESULT).read_bytes())


def _busy(runs: Runs, who: dict[str, str]) -> RunFailure:
    run_id = who.get("run_id", "?")
    status = read_status(runs.folder(run_id))
    phase = status.phase if status else "its start"
    return RunFailure(
        FailureCode.BUSY, f"busy: run {run_id}, phase {phase}, since {who.get('since', '?')}"
    )
