"""Starts the worker process, talks to it, and ends it with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from .channel import Channel, Message
from .contract.plan import RunPlan
from .contract.profile import Build
from .contract.run_folder import ENGINE_LOG
from .contract.status import FailureCode
from .evaluation.environment import offline_environment
from .failure import RunFailure
from .host.memory import oom_kills

QUIT_S = 45.0
"""The engine gets so long to end in order before its processes are killed."""
ABORT_S = 15.0


class EngineProcess:
    """The worker, in a process group of its own."""

    def __init__(self, plan: RunPlan, run_folder: Path, home: Path) -> None:
        ours, theirs = socket.socketpair()
        with (run_folder / ENGINE_LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "loadfleet_agent.worker",
                    str(theirs.fileno()),
                    str(run_folder),
                    str(home),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=engine_environment(plan, home),
                start_new_session=True,
            )
        theirs.close()
        self._channel = Channel(ours)
        self._oom_kills = oom_kills()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, kind: str, **values: Any) -> None:
        """Raises RunFailure (engine-died) if the worker is gone."""
        try:
            self._channel.send(kind, **values)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> Message:
        """The next message. Raises RunFailure if the worker failed or is gone."""
        message = self._channel.receive()
        if message is None:
            raise self._death()
        if message["type"] == "failed":
            code = FailureCode(message["code"])
            if code is FailureCode.ENGINE_DIED and self._memory_ran_out:
                raise _out_of_memory(message["message"])
            raise RunFailure(code, message["message"])
        return message

    def require_alive(self) -> None:
        """Raises RunFailure (engine-died) if the worker has ended while nothing was asked of it."""
        if self._process.poll() is not None:
            raise self._death()

    def _death(self) -> RunFailure:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return RunFailure(FailureCode.ENGINE_DIED, "the engine's process closed its channel")
        if code == -signal.SIGKILL and self._memory_ran_out:
            return _out_of_memory("SIGKILL")
        if code < 0:
            name = signal.Signals(-code).name
            return RunFailure(FailureCode.ENGINE_DIED, f"the engine's process was ended by {name}")
        return RunFailure(FailureCode.ENGINE_DIED, f"the engine's process ended with code {code}")

    @property
    def _memory_ran_out(self) -> bool:
        """Since the engine was started; the kernel does not say for whom."""
        return oom_kills() > self._oom_kills

    def close(self, *, abort: bool) -> None:
        """Ends the worker: in order if it answers, by force if not; leaves no process."""
        try:
            family = [self._process_info(), *self._process_info().children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        with contextlib.suppress(OSError):
            self._channel.send("abort" if abort else "quit")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=ABORT_S if abort else QUIT_S)
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        deadline = time.monotonic() + 30
        while any(_is_alive(process) for process in family) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _process_info(self) -> psutil.Process:
        return psutil.Process(self._process.pid)


def _out_of_memory(how: str) -> RunFailure:
    return RunFailure(
        FailureCode.OUT_OF_MEMORY,
        f"the host ran out of memory, and the kernel killed the engine's process ({how})",
    )


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def engine_environment(plan: RunPlan, home: Path) -> dict[str, str]:
    """The environment of a process that owns an engine."""
    fixed = {
        # A run reads what prepare has put in place; it never waits for a network.
        "HF_HUB_OFFLINE": "1",
        # Of several addresses vLLM would take the one that leads out, and be reached from there.
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": str(home / "cache" / "vllm"),
        "PYTHONUNBUFFERED": "1",
    }
    if plan.build is Build.CPU:
        fixed["VLLM_CPU_KVCACHE_SPACE"] = str(plan.engine.cpu_kv_cache_gib)
    if plan.evaluations:
        fixed |= offline_environment(home)
    return os.environ | fixed | plan.environment
