"""The agent as a user drives it: its command, its processes, its files."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psutil
import yaml
from loadfleet_agent.contract.benchmark import SCENARIOS, Mode, Suite
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.contract.status import Status
from waiting import LONG_S, wait_until

COMMAND = str(Path(sys.executable).parent / "loadfleet-agent")
MARK = "LOADFLEET_TEST_MARK"

QUICK: dict[str, Any] = {
    "profile": "null-engine",
    "model": {"source": "tiny"},
    "dataset": {"source": "synthetic"},
    "length": {"samples": 64, "server_queries": 500},
    "server_target_qps": 500,
    "modes": ["performance"],
}
"""A run of a few seconds."""

SLOW: dict[str, Any] = QUICK | {"server_target_qps": 40}
"""The same with a Server phase of some 13 seconds, to do something to it."""

ENDLESS: dict[str, Any] = SLOW | {"length": {"samples": 64, "server_queries": 20_000}}
"""The same with one of 8 minutes, for tests that end it: on a busy machine 13 seconds are short."""


def make_plan(run_id: str = "run", host: str = "host", **changes: Any) -> RunPlan:
    """The quick plan with settings changed."""
    return resolve_plan(parse_settings(QUICK | changes), run_id=run_id, host=host)


def plan_of(suite: Suite, **changes: Any) -> RunPlan:
    """The quick plan with all scenarios of a suite, in all modes."""
    modes = [mode for mode in Mode if (suite, mode) != (Suite.EDGE, Mode.TEST06)]
    rates = {"interactive_target_qps": 400}
    everything = {"suite": suite, "scenarios": SCENARIOS[suite], "modes": modes}
    return make_plan(**(everything | rates | changes))


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, time and content of every file: equal if and only if nothing was written."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_ino,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Agent:
    """loadfleet-agent with a data folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._mark = uuid.uuid4().hex
        self.environment = os.environ | {MARK: self._mark}

    def __call__(
        self, *arguments: str, stdin: str | None = None, home: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            self.command(*arguments, home=home),
            capture_output=True,
            text=True,
            timeout=2 * LONG_S,
            check=False,
            input=stdin,
            env=self.environment,
        )

    def command(self, *arguments: str, home: bool = True) -> list[str]:
        return [COMMAND, *arguments, *(["--home", str(self.home)] if home else [])]

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command in the background."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def settings(self, run_id: str, values: dict[str, Any]) -> list[str]:
        """Flags that give these settings."""
        path = self.home.parent / f"{self.home.name}-{run_id}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return ["--settings", str(path), "--run-id", run_id]

    def start(self, run_id: str, values: dict[str, Any]) -> str:
        """How the detached run was taken: started, resumed, attached or finished."""
        done = self("start", *self.settings(run_id, values), "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return str(json.loads(done.stdout)["how"])

    def folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def status(self, run_id: str) -> Status | None:
        try:
            text = (self.folder(run_id) / "status.json").read_bytes()
        except FileNotFoundError:
            return None
        return Status.model_validate_json(text)

    def result(self, run_id: str) -> HostResult:
        return HostResult.model_validate_json((self.folder(run_id) / "result.json").read_bytes())

    def await_phase(self, run_id: str, phase: str, done: int = 1) -> Status:
        """The status as soon as ``phase`` has finished ``done`` samples."""

        def reached() -> Status | None:
            status = self.status(run_id)
            assert status is None or not status.state.ended, f"ended before {phase}: {status}"
            return status if status and status.phase == phase and status.done >= done else None

        return wait_until(reached, f"run {run_id} in phase {phase}")

    def processes(self) -> list[psutil.Process]:
        """Every living process that stems from this agent."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = (
                    process.environ().get(MARK) == self._mark or str(self.home) in process.cmdline()
                )
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def worker(self) -> psutil.Process:
        (process,) = (p for p in self.processes() if "loadfleet_agent.worker" in p.cmdline())
        return process

    def await_no_process(self) -> None:
        wait_until(lambda: not self.processes(), f"no process left: {self.processes()}", 60)

    def close(self) -> None:
        """Ends whatever a failed test has left."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
