"""Hands a run over to what outlives the command that started it: a systemd unit or a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .contract.plan import RunPlan, Runtime
from .contract.run_folder import AGENT_LOG, PLAN
from .contract.status import FailureCode
from .host.locks import gpu_locks, make_run_lock
from .host.owner import as_owner, give_to_owner, other_owner
from .sandbox import TOKENS, Sandbox, read_paths
from .units import (
    container_unit,
    journal,
    start_unit,
    start_venv_unit,
    systemd_is_here,
    unit_has_ended,
    venv_unit,
)


@dataclass(frozen=True)
class Launched:
    """A run on its own."""

    has_ended: Callable[[], bool]
    said: Callable[[], str]
    """Its last lines, on one line."""
    code: FailureCode = FailureCode.INTERNAL
    """Of a run that ends before it has a status."""


def launch(plan: RunPlan, folder: Path, home: Path) -> Launched:
    """Starts the run whose plan is in ``folder``. Raises RunFailure if it cannot be started."""
    # Held by the owner of the data folder, who may make no file in it.
    give_to_owner(home, make_run_lock(home))
    if plan.runtime is Runtime.CONTAINER:
        return _launch_container(plan.run_id, folder)
    log = folder / AGENT_LOG
    command = [
        sys.executable, "-m", "loadfleet_agent", "run",
        "--home", str(home), "--plan", str(folder / PLAN),
    ]  # fmt: skip
    if systemd_is_here():
        unit = venv_unit(plan.run_id, home)
        with as_owner(home):  # else systemd would make it, as root
            log.touch(mode=0o600)
        gpu_locks()
        sandbox = Sandbox(home, folder, other_owner(home), read_paths(plan))
        start_venv_unit(unit, [*command, "--unit", unit], log, sandbox)
        return Launched(lambda: unit_has_ended(unit), lambda: tail(log))
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name not in TOKENS},
        )
    return Launched(lambda: process.poll() is not None, lambda: tail(log))


def _launch_container(run_id: str, folder: Path) -> Launched:
    unit, log, began = container_unit(run_id), folder / AGENT_LOG, time.time()
    start_unit(unit)

    def said() -> str:
        # Docker and what comes before the agent write to the journal, the agent to its log.
        return journal(unit, since=began) or tail(log)

    # An image that is gone, a device that is not there, folders of another user.
    return Launched(lambda: unit_has_ended(unit), said, FailureCode.RUNTIME_MISSING)


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log, on one line."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"no {log.name}"
    return " | ".join(text.strip().splitlines()[-lines:])
