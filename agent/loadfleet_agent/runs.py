"""The runs of a data folder: start or attach, look, wait, stop. One runs at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from .contract.base import digest, utc_now
from .contract.files import write_model
from .contract.plan import RunPlan, differing_keys
from .contract.result import HostResult
from .contract.run_folder import AGENT_LOG, MANIFEST, PLAN, RESULT, STATUS
from .contract.status import FailureCode, State, Status
from .failure import RunFailure
from .host.facts import host_facts
from .host.locks import Busy, RunLocks, holder
from .run import Run

START_S = 120.0
STOP_S = 180.0
PASSED_ENVIRONMENT = ("HF_HOME", "HF_HUB_CACHE", "NLTK_DATA", "CUDA_VISIBLE_DEVICES", "PATH")


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

        Raises RunFailure: busy with another run, or planned otherwise under the same id.
        """
        how = self._admit(plan)
        if how in ("attached", "finished"):
            return how
        folder = self.folder(plan.run_id)
        before = read_status(folder)
        has_ended = self._spawn(plan, folder)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            now = read_status(folder)
            if now is not None and (before is None or now.attempt > before.attempt):
                return how
            if (who := holder(self.home)) and who.get("run_id") != plan.run_id:
                raise _busy(self, who)
            if has_ended():
                raise RunFailure(
                    FailureCode.INTERNAL, f"the agent ended at its start: {tail(folder)}"
                )
            time.sleep(0.1)
        raise RunFailure(
            FailureCode.INTERNAL, f"the agent wrote no status in {START_S:.0f} s: {tail(folder)}"
        )

    def run(self, plan: RunPlan, unit: str | None = None) -> HostResult:
        """Runs in this process, to the end. Raises RunFailure as ``start`` does."""
        how = self._admit(plan)
        folder = self.folder(plan.run_id)
        if how == "finished":
            return read_result(folder)
        owner = {
            "run_id": plan.run_id,
            "since": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}",
            "pid": str(os.getpid()),
        }
        try:
            locks = RunLocks(self.home, tuple(gpu.uuid for gpu in host_facts().gpus), owner)
        except Busy as error:
            raise RunFailure(FailureCode.BUSY, str(error)) from error
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
        pid = int(owner["pid"])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline:
            if not self.view(run_id).alive:
                return True
            time.sleep(0.2)
        raise RunFailure(
            FailureCode.INTERNAL, f"run {run_id} (pid {pid}) did not end in {STOP_S:.0f} s"
        )

    def _admit(self, plan: RunPlan) -> Literal["started", "resumed", "attached", "finished"]:
        folder = self.folder(plan.run_id)
        who = holder(self.home)
        if who and who.get("run_id") != plan.run_id:
            raise _busy(self, who)
        folder.mkdir(parents=True, exist_ok=True)
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
        if kept.plan_hash != plan.plan_hash:
            differing = ", ".join(differing_keys(kept, plan))
            raise RunFailure(
                FailureCode.BAD_PLAN,
                f"run {plan.run_id} was planned otherwise on this host (differs in {differing})",
            )

    def _spawn(self, plan: RunPlan, folder: Path) -> Callable[[], bool]:
        """Starts ``run`` apart from this process; returns whether that has ended already."""
        command = [
            sys.executable, "-m", "loadfleet_agent", "run",
            "--home", str(self.home), "--plan", str(folder / PLAN),
        ]  # fmt: skip
        log = folder / AGENT_LOG
        if systemd_is_here():
            unit = f"loadfleet-{plan.run_id}-{digest(str(self.home))[:8]}"
            passed = [
                f"--setenv={name}={os.environ[name]}"
                for name in PASSED_ENVIRONMENT
                if name in os.environ
            ]
            done = subprocess.run(
                [
                    "systemd-run", "--quiet", "--collect", f"--unit={unit}",
                    "--property=Type=exec", "--property=KillMode=mixed",
                    "--property=TimeoutStopSec=120",
                    f"--property=StandardOutput=append:{log}", "--property=StandardError=inherit",
                    *passed, *command, "--unit", unit,
                ],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise RunFailure(
                    FailureCode.INTERNAL, f"systemd-run failed: {done.stderr.strip()[-300:]}"
                )
            return lambda: not _unit_is_active(unit)
        with log.open("ab") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                cwd="/",
            )
        return lambda: process.poll() is not None


def systemd_is_here() -> bool:
    """Whether a systemd manages this host and we may start a unit."""
    return (
        Path("/run/systemd/system").is_dir()
        and os.geteuid() == 0
        and shutil.which("systemd-run") is not None
    )


def _unit_is_active(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-active", "--quiet", unit], timeout=30, check=False)
    return done.returncode == 0


def read_status(folder: Path) -> Status | None:
    """The run's status, or None while there is none that can be read."""
    try:
        return Status.model_validate_json((folder / STATUS).read_bytes())
    except (OSError, ValidationError):
        return None


def read_result(folder: Path) -> HostResult:
    """The result of a run that has one. Raises OSError or ValidationError."""
    return HostResult.model_validate_json((folder / RESULT).read_bytes())


def tail(folder: Path, lines: int = 3) -> str:
    """The last lines of the agent's log, on one line."""
    try:
        text = (folder / AGENT_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "no agent.log"
    return " | ".join(text.strip().splitlines()[-lines:])


def _busy(runs: Runs, who: dict[str, str]) -> RunFailure:
    run_id = who.get("run_id", "?")
    status = read_status(runs.folder(run_id))
    phase = status.phase if status else "its start"
    return RunFailure(
        FailureCode.BUSY, f"busy: run {run_id}, phase {phase}, since {who.get('since', '?')}"
    )
