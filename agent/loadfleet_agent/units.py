"""The systemd units that runs are: a transient one in a venv, one of a template in a container."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .contract.base import digest
from .contract.status import FailureCode
from .failure import RunFailure
from .sandbox import Sandbox, load_device_nodes

TEMPLATE = "loadfleet-agent@{}.service"
"""Installed by the Ansible role agent; its instance is the run's id."""
PASSED_ENVIRONMENT = ("HF_HOME", "HF_HUB_CACHE", "NLTK_DATA", "CUDA_VISIBLE_DEVICES", "PATH")
SYSTEMCTL_S = 60.0
# As root, outside of the sandbox: SIGPWR tells the agent that the host is going down, of which it
# hears nothing where it may not ask systemd. SIGTERM follows when this has ended.
TELL_SHUTDOWN = (
    "-+/bin/sh -c 'if systemctl is-system-running | grep -qx stopping; then "
    "kill -s PWR ${MAINPID}; timeout 100 tail --pid=${MAINPID} --follow /dev/null; fi'"
)


def systemd_is_here() -> bool:
    """Whether a systemd manages this host and we may start a unit."""
    return (
        Path("/run/systemd/system").is_dir()
        and os.geteuid() == 0
        and shutil.which("systemd-run") is not None
    )


def venv_unit(run_id: str, home: Path) -> str:
    """Name of the transient unit of a run in a virtual environment."""
    return f"loadfleet-{run_id}-{digest(str(home))[:8]}.service"


def container_unit(run_id: str) -> str:
    """Name of the unit of a run in a container."""
    return TEMPLATE.format(run_id)


def require_container_unit(run_id: str, home: Path) -> None:
    """Raises RunFailure (runtime-missing) unless this host can run a container for ``home``."""
    if not systemd_is_here():
        raise _missing("it needs root on a host that systemd manages")
    template = TEMPLATE.format("")
    unit = _show(container_unit(run_id), "LoadState", "Environment")
    if unit["LoadState"] != "loaded":
        raise _missing(f"{template} is not installed ({unit['LoadState'] or 'unknown'})")
    given = dict(word.split("=", 1) for word in shlex.split(unit["Environment"]) if "=" in word)
    served = given.get("LOADFLEET_HOME")
    if served is None or Path(served).resolve() != home:
        raise _missing(f"{template} is for the data folder {served}, not for {home}")


def _missing(why: str) -> RunFailure:
    return RunFailure(FailureCode.RUNTIME_MISSING, f"runtime container: {why}")


def start_venv_unit(unit: str, command: Sequence[str], log: Path, sandbox: Sandbox) -> None:
    """Runs ``command`` as a transient unit that appends to ``log``. Raises RunFailure."""
    load_device_nodes()
    passed = [
        f"--setenv={name}={os.environ[name]}" for name in PASSED_ENVIRONMENT if name in os.environ
    ]
    done = subprocess.run(
        [
            "systemd-run", "--quiet", "--collect", f"--unit={unit}",
            "--property=Type=exec", "--property=KillMode=mixed",
            "--property=TimeoutStopSec=120",
            f"--property=StandardOutput=append:{log}", "--property=StandardError=inherit",
            f"--property=ExecStop={TELL_SHUTDOWN}",
            *(f"--property={item}" for item in sandbox.properties()),
            *passed, *(f"--setenv={item}" for item in sandbox.environment()), *command,
        ],
        capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RunFailure(FailureCode.INTERNAL, f"systemd-run failed: {done.stderr.strip()[-300:]}")


def start_unit(unit: str) -> None:
    """Starts an installed unit. Raises RunFailure with what it said."""
    began = time.time()
    done = _systemctl("start", unit)
    if done.returncode != 0:
        said = journal(unit, since=began) or done.stderr.strip()[-300:]
        raise RunFailure(FailureCode.RUNTIME_MISSING, f"{unit} could not be started: {said}")


def stop_unit(unit: str, timeout_s: float) -> None:
    """Stops a unit and waits until it has ended. Raises RunFailure."""
    try:
        done = _systemctl("stop", unit, timeout_s=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise RunFailure(
            FailureCode.INTERNAL, f"{unit} did not end in {timeout_s:.0f} s"
        ) from error
    if done.returncode != 0:
        raise RunFailure(
            FailureCode.INTERNAL, f"{unit} could not be stopped: {done.stderr.strip()[-300:]}"
        )


def unit_has_ended(unit: str) -> bool:
    """Whether nothing of the unit runs any more."""
    return _show(unit, "ActiveState")["ActiveState"] in ("inactive", "failed")


def journal(unit: str, since: float) -> str:
    """The last lines that the unit's processes wrote since then (Unix time), on one line."""
    subprocess.run(["journalctl", "--sync"], capture_output=True, timeout=SYSTEMCTL_S, check=False)
    done = subprocess.run(
        [
            "journalctl", "--quiet", "--output=cat", "--lines=3", f"--since=@{int(since)}",
            f"_SYSTEMD_UNIT={unit}",
        ],
        capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False,
    )  # fmt: skip
    return " | ".join(line.strip() for line in done.stdout.splitlines() if line.strip())


def _systemctl(*arguments: str, timeout_s: float = SYSTEMCTL_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemctl", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def _show(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit; '' for one that systemd does not tell."""
    done = _systemctl("show", *(f"--property={name}" for name in names), unit)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return {name: told.get(name, "") for name in names}
