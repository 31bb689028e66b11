"""Host folders as real agents leave them, and what is done to them before they are read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.run_folder import (
    MANIFEST,
    PHASES,
    RESULT,
    file_sha256,
)
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.run import make_manifest
from loadfleet_aggregator.bundle import Bundle, read_bundle
from loadfleet_aggregator.fleet.record import HOSTS, ControllerNote, open_run
from loadfleet_aggregator.fleet.settings import FleetSettings, PlannedHost
from waiting import LONG_S

BIN = Path(sys.executable).parent
RUN_ID = "run-1"
CREATED = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)

QUICK: dict[str, Any] = {
    "profile": "null-engine",
    "model": {"source": "tiny"},
    "dataset": {"source": "synthetic"},
    "length": {"samples": 16, "server_queries": 500},
    "server_target_qps": 500,
}
"""Settings of a whole run of a few seconds."""


def make_plan(host: str, run_id: str = RUN_ID, **changes: Any) -> RunPlan:
    return resolve_plan(parse_settings(QUICK | changes), run_id=run_id, host=host)


def planned(host: str, plan: RunPlan | None = None) -> PlannedHost:
    return PlannedHost(host, FleetSettings(), plan or make_plan(host))


@dataclass(frozen=True)
class HostRun:
    """A finished run of a real agent."""

    plan: RunPlan
    folder: Path

    def copy_to(self, target: Path) -> Path:
        return Path(shutil.copytree(self.folder, target))

    def read(self, folder: Path, **changes: str) -> Bundle:
        """The folder as the host of this run should have sent it."""
        wanted = {
            "run_id": self.plan.run_id,
            "host": self.plan.host,
            "plan_hash": self.plan.plan_hash,
        }
        return read_bundle(folder, **(wanted | changes))


def run_agents(home: Path, plans: Iterable[RunPlan]) -> list[HostRun]:
    """Runs an agent for each plan, all at once, each with a data folder of its own."""
    started = []
    for plan in plans:
        host_home = home / plan.host
        host_home.mkdir(parents=True)
        path = host_home / "given-plan.json"
        path.write_text(plan.model_dump_json(), encoding="utf-8")
        log = (host_home / "output.txt").open("w")
        command = [BIN / "loadfleet-agent", "run", "--home", host_home, "--plan", path]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        started.append((plan, host_home, process))
    runs = []
    for plan, host_home, process in started:
        code = process.wait(timeout=2 * LONG_S)
        assert code == 0, (host_home / "output.txt").read_text(encoding="utf-8")
        runs.append(HostRun(plan, host_home / "runs" / plan.run_id))
    return runs


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    """Loads a JSON file, lets ``change`` alter it, writes it back."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def reseal(folder: Path, run_id: str = RUN_ID) -> None:
    """Writes the manifest anew, as somebody does who changed a file and hides it."""
    text = make_manifest(folder, run_id).model_dump_json(indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def rehash_phases(folder: Path) -> None:
    """Makes result.json tell the phase files' hashes as they are now."""

    def change(result: Any) -> None:
        for phase in result["phases"]:
            for name in phase["files"]:
                phase["files"][name] = file_sha256(folder / PHASES / phase["name"] / name)

    edit_json(folder / RESULT, change)


def logged_value(detail_log: Path, key: str) -> Any:
    """The last value of a key in LoadGen's detail log, read without the project's own reader."""
    found = None
    for line in detail_log.read_text(encoding="utf-8").splitlines():
        if line.startswith(":::MLLOG ") and f'"{key}"' in line:
            entry = json.loads(line.removeprefix(":::MLLOG "))
            found = entry["value"] if entry["key"] == key else found
    return found


def make_run(
    results: Path, runs: Iterable[HostRun], *, inventory: Iterable[str] = (), run_id: str = RUN_ID
) -> Path:
    """A run's folder on the controller: the record, the plans and what each host sent."""
    runs = list(runs)
    hosts = [planned(run.plan.host, run.plan) for run in runs]
    names = [*(host.name for host in hosts), *inventory]
    open_run(results, run_id, hosts, names, CREATED, asked=False)
    for run in runs:
        run.copy_to(results / run_id / HOSTS / run.plan.host)
    return results / run_id


def make_note(
    host: str, state: str = "collected", step: str = "", message: str = ""
) -> ControllerNote:
    return ControllerNote(host=host, state=state, step=step, message=message)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below ``folder`` with its content; None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def waits_for_lock(pid: int) -> bool:
    """Whether the kernel has this process in a queue for a file lock."""
    lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    return any("->" in line and str(pid) in line.split() for line in lines)


def run_python(code: str, *arguments: object, cwd: Path | None = None) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=LONG_S, check=False, cwd=cwd, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
