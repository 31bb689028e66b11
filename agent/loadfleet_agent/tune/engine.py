"""One engine at a time for many measurements, started anew only where its settings change."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..channel import Message
from ..contract.benchmark import Scenario
from ..contract.files import write_model
from ..contract.plan import RunPlan
from ..contract.result import EngineFacts, ModelFacts
from ..contract.run_folder import PLAN
from ..contract.status import FailureCode
from ..engine_process import EngineProcess
from ..failure import RunFailure


class TunedEngine:
    """Owns the engine's process. ``close`` ends it and leaves nothing on the GPU."""

    def __init__(self, model: ModelFacts, home: Path) -> None:
        self.model = model
        self._home = home
        self._process: EngineProcess | None = None
        self._plan: RunPlan | None = None
        self._folder = Path()
        self._measured = 0
        self.facts: EngineFacts | None = None
        """Of the engine that was started last."""

    def measure_offline(self, plan: RunPlan, folder: Path, samples: int) -> float:
        """LoadGen's samples per second of one burst. Raises RunFailure."""
        answer = self._measure(plan, folder, "measure-offline", samples=samples)
        return float(answer["samples_per_s"])

    def measure_rate(
        self, plan: RunPlan, folder: Path, scenario: Scenario, first_qps: float
    ) -> tuple[float | None, str]:
        """The highest rate that held, else None and why. Raises RunFailure."""
        answer = self._measure(plan, folder, "measure-rate", scenario=scenario, first_qps=first_qps)
        return answer["samples_per_s"], answer["reason"]

    def close(self, *, abort: bool = False) -> None:
        if self._process is not None:
            self._process.close(abort=abort)
        self._process = self._plan = None

    def _measure(self, plan: RunPlan, folder: Path, kind: str, **values: Any) -> Message:
        """``folder`` gets the engine's log if it is started for this, and LoadGen's in any case."""
        try:
            process = self._started(plan, folder)
            self._measured += 1
            logs = self._folder / f"measurement-{self._measured}"
            process.send(kind, folder=str(logs), **values)
            return self._receive(process, plan.inactivity.generate_s)
        except BaseException:
            self.close(abort=True)
            raise

    def _started(self, plan: RunPlan, folder: Path) -> EngineProcess:
        if self._process is not None and self._plan == plan:
            return self._process
        self.close()
        folder.mkdir(parents=True, exist_ok=True)
        write_model(folder / PLAN, plan)
        process = EngineProcess(plan, folder, self._home)
        self._process, self._plan, self._folder, self._measured = process, plan, folder, 0
        process.send("load", model=self.model.model_dump(mode="json"))
        loaded = self._receive(process, plan.inactivity.load_s)
        self.facts = EngineFacts.model_validate(loaded["engine"])
        process.send("warm-up")
        self._receive(process, plan.inactivity.load_s)
        return process

    def _receive(self, process: EngineProcess, limit_s: float) -> Message:
        """The next message that is no progress; an engine that is silent for too long is ended."""
        with _watch(process, limit_s) as watch:
            try:
                while (message := process.receive())["type"] == "progress":
                    watch.moved()
            except RunFailure as error:
                if not watch.has_ended_it:
                    raise
                text = f"no progress for {limit_s:.0f} s"
                raise RunFailure(FailureCode.STALLED, text) from error
        return message


class _Watch:
    """Kills a process in which nothing has moved for a while."""

    def __init__(self, process: EngineProcess, limit_s: float) -> None:
        self._process = process
        self._limit_s = limit_s
        self._last = time.monotonic()
        self._over = threading.Event()
        self.has_ended_it = False
        self._thread = threading.Thread(target=self._run, name="inactivity", daemon=True)
        self._thread.start()

    def moved(self) -> None:
        self._last = time.monotonic()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(min(1.0, self._limit_s / 4)):
            if time.monotonic() - self._last > self._limit_s:
                self.has_ended_it = True
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                return


@contextlib.contextmanager
def _watch(process: EngineProcess, limit_s: float) -> Iterator[_Watch]:
    watch = _Watch(process, limit_s)
    try:
        yield watch
    finally:
        watch.end()
