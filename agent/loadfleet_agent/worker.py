"""The process that owns the engine and LoadGen for all phases of a run.

It is apart from the run itself, which watches it: a crash in native code, an engine that hangs
or a kernel that kills for memory then ends this process and not the one that writes the
result. Started by ``run``; talks over a Channel; ends when the other side does.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Coroutine, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .channel import Channel, Message
from .contract.benchmark import Mode, Scenario
from .contract.evaluation import LETTERS, EvaluationPlan
from .contract.plan import RunPlan, phase_name, rate_name
from .contract.result import EngineFacts, ModelFacts
from .contract.run_folder import PHASES
from .contract.status import FailureCode
from .dataset.library import SampleLibrary, build_library
from .engine import Engine, EngineDied, EngineStartError, make_engine
from .failure import RunFailure, explain_os_error
from .loadgen.phase import configuration_sha256, prepare_phase, run_phase
from .loadgen.rate_search import find_rate, measure_offline, measure_rate
from .loadgen.run import Drive
from .loadgen.sut import SystemUnderTest

if TYPE_CHECKING:
    from .evaluation.language_model import EngineLanguageModel

Result = TypeVar("Result")

PROGRESS_S = 1.0
STOP_ENGINE_S = 30.0
WARM_UP_SAMPLES = 16
WARM_UP_TOKENS = 64
"""Of each, where there are no samples."""


class Worker:
    """Carries out the commands load, warm-up, rate, phase, evaluate, measure-offline, measure-rate
    and quit, one after the other."""

    def __init__(self, channel: Channel, plan: RunPlan, run_folder: Path, home: Path) -> None:
        self._channel = channel
        self._plan = plan
        self._run_folder = run_folder
        self._home = home
        self._loop = asyncio.new_event_loop()
        self._engine: Engine | None = None
        self._library: SampleLibrary | None = None
        self._model: ModelFacts | None = None
        self._configuration = ""
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._sut: SystemUnderTest | None = None
        self._total = 0
        self._facts: EngineFacts | None = None
        self._evaluated: EngineLanguageModel | None = None
        self._is_aborted = False

    def serve(self) -> None:
        """Runs until 'quit' or a failure."""
        threading.Thread(target=self._loop.run_forever, name="engine", daemon=True).start()
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        threading.Thread(target=self._report_progress, name="progress", daemon=True).start()
        try:
            while (command := self._commands.get())["type"] != "quit":
                self._carry_out(command)
        except RunFailure as error:
            self._channel.send("failed", code=error.code, message=error.message)
        except OSError as error:
            traceback.print_exc()
            code, message = explain_os_error(error, self._run_folder)
            self._channel.send("failed", code=code, message=message)
        except Exception as error:  # anything else is a fault of ours: tell it, with its trace
            traceback.print_exc()
            self._channel.send(
                "failed", code=FailureCode.INTERNAL, message=f"{type(error).__name__}: {error}"
            )
        finally:
            self._stop_engine()

    def _carry_out(self, command: Message) -> None:
        match command["type"]:
            case "load":
                self._load(ModelFacts.model_validate(command["model"]))
            case "warm-up":
                self._warm_up()
                self._channel.send("warmed-up")
            case "phase":
                scenario, mode = Scenario(command["scenario"]), Mode(command["mode"])
                told = command["start_utc"]
                start = None if told is None else datetime.fromisoformat(told)
                self._run_phase(scenario, mode, command["target_qps"], start)
            case "evaluate":
                self._evaluate(EvaluationPlan.model_validate(command["evaluation"]))
            case "rate":
                scenario = Scenario(command["scenario"])
                self._find_rate(scenario, command["offline_samples_per_second"])
            case "measure-offline":
                self._measure_offline(Path(command["folder"]), command["samples"])
            case "measure-rate":
                scenario = Scenario(command["scenario"])
                self._measure_rate(Path(command["folder"]), scenario, command["first_qps"])

    def _load(self, model: ModelFacts) -> None:
        if self._plan.scenarios:
            self._library = build_library(self._plan, model, self._home)
        try:
            self._engine = make_engine(self._plan, model)
            facts: EngineFacts = self._on_loop(self._engine.start())
        except ImportError as error:
            raise RunFailure(
                FailureCode.PACKAGE_MISSING,
                f"the {self._plan.build} build of the engine is not installed: {error}",
            ) from error
        except EngineStartError as error:
            raise RunFailure(error.code, str(error)) from error
        self._model, self._facts = model, facts
        self._configuration = configuration_sha256(self._plan, facts, model, self._library)
        self._channel.send("loaded", engine=facts.model_dump(mode="json"))

    def _on_loop(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs it on the engine's event loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _warm_up(self) -> None:
        """Some samples in both forms of output, and scored where evaluations may score, so that
        kernels and memory are ready."""
        engine = self._engine_ready()
        assert self._model is not None
        # Any tokens do where LoadGen has none to send.
        made = [list(range(min(WARM_UP_TOKENS, self._model.vocabulary)))] * WARM_UP_SAMPLES
        prompts = self._library.prompts[:WARM_UP_SAMPLES] if self._library else made

        async def one(name: str, prompt: list[int], stream: bool) -> None:
            async for _ in engine.generate(name, prompt, stream=stream):
                pass

        async def several() -> None:
            for stream in (False, True):
                await asyncio.gather(
                    *(one(f"warm-up-{stream}-{i}", p, stream) for i, p in enumerate(prompts))
                )
            if self._plan.evaluations:
                letters = [[token] for token in prompts[0][: len(LETTERS)]]
                await asyncio.gather(
                    *(engine.score(f"warm-up-{i}", p, letters) for i, p in enumerate(prompts))
                )

        try:
            self._on_loop(several())
        except EngineDied as error:
            raise RunFailure(FailureCode.ENGINE_DIED, str(error)) from error

    def _run_phase(
        self,
        scenario: Scenario,
        mode: Mode,
        target_qps: float | None,
        start_utc: datetime | None,
    ) -> None:
        assert self._model is not None
        folder = self._run_folder / PHASES / phase_name(scenario, mode)
        phase = prepare_phase(self._plan, scenario, mode, folder, target_qps)
        stop_ids = self._model.stop_token_ids
        with self._driving(folder, start_utc) as (library, drive):
            run_phase(self._plan, phase, target_qps, library, stop_ids, self._configuration, drive)
        self._channel.send("phase-done")

    def _evaluate(self, evaluation: EvaluationPlan) -> None:
        # lm_eval is heavy and needed here alone.
        from .evaluation.evaluate import Deployment, run_evaluation

        engine = self._engine_ready()
        assert self._model is not None
        assert self._facts is not None
        deployment = Deployment(
            self._plan, self._model, self._facts, engine, self._loop, self._configuration
        )
        folder = self._run_folder / PHASES / evaluation.name
        run_evaluation(evaluation, deployment, folder, self._home, self._watch_evaluation)
        self._channel.send("phase-done")

    def _watch_evaluation(self, model: EngineLanguageModel | None) -> None:
        self._evaluated = model
        if model is not None and self._is_aborted:
            model.abort()

    def _find_rate(self, scenario: Scenario, offline_samples_per_second: float | None) -> None:
        folder = self._run_folder / PHASES / rate_name(scenario)
        with self._driving(folder) as (_, drive):
            find_rate(self._plan, scenario, folder, offline_samples_per_second, drive)
        self._channel.send("phase-done")

    def _measure_offline(self, folder: Path, samples: int) -> None:
        with self._driving(folder) as (_, drive):
            probe = measure_offline(self._plan, samples, folder, drive)
        self._channel.send("measured", samples_per_s=probe.samples_per_second)

    def _measure_rate(self, folder: Path, scenario: Scenario, first_qps: float) -> None:
        with self._driving(folder) as (_, drive):
            found = measure_rate(self._plan, scenario, first_qps, folder, drive)
        self._channel.send(
            "measured", samples_per_s=found.highest_held_qps, reason=found.probes[-1].reason
        )

    @contextlib.contextmanager
    def _driving(
        self, folder: Path, start_utc: datetime | None = None
    ) -> Iterator[tuple[SampleLibrary, Drive]]:
        engine, library = self._ready()
        # LoadGen looks for an audit.config in the working directory.
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        try:
            prompts, watch = library.prompts, self._watch_progress
            yield library, Drive(engine, self._loop, prompts, watch, start_utc)
        finally:
            self._sut = None
            os.chdir("/")

    def _watch_progress(self, sut: SystemUnderTest, total: int) -> None:
        self._sut, self._total = sut, total

    def _engine_ready(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("no engine is loaded")
        return self._engine

    def _ready(self) -> tuple[Engine, SampleLibrary]:
        if self._library is None:
            raise RuntimeError("no samples are loaded")
        return self._engine_ready(), self._library

    def _report_progress(self) -> None:
        told = (-1, -1, -1)
        while True:
            threading.Event().wait(PROGRESS_S)
            sut = self._sut
            now = self._progress(sut)
            if now is not None and now != told:
                told = now
                try:
                    self._channel.send("progress", done=now[0], tokens=now[1], total=now[2])
                except OSError:
                    return
            if sut is not None and sut.failed.is_set():
                self._report_failed_sut(sut)
                return

    def _progress(self, sut: SystemUnderTest | None) -> tuple[int, int, int] | None:
        """What is done, its output tokens, and of how many; None between phases."""
        if sut is not None:
            return len(sut.records), sut.output_tokens, max(self._total, sut.issued)
        evaluated = self._evaluated
        if evaluated is None:
            return None
        progress = evaluated.progress
        return progress.done, progress.output_tokens, progress.total

    def _report_failed_sut(self, sut: SystemUnderTest) -> None:
        """Offline ends by itself now; a Server run would go on to the end of its schedule, and
        there is no call that ends it, so the failure is told here."""
        if isinstance(sut.failure, EngineDied):
            message = str(sut.failure)
            self._channel.send("failed", code=FailureCode.ENGINE_DIED, message=message)
        elif not isinstance(sut.failure, RunFailure):
            message = f"{type(sut.failure).__name__}: {sut.failure}"
            self._channel.send("failed", code=FailureCode.INTERNAL, message=message)

    def _listen(self) -> None:
        while (command := self._channel.receive()) is not None:
            if command["type"] != "abort":
                self._commands.put(command)
                continue
            self._is_aborted = True
            sut, evaluated = self._sut, self._evaluated
            if sut is not None:
                sut.abort(RunFailure(FailureCode.STOPPED, "stopped"))
            if evaluated is not None:
                evaluated.abort()
            self._commands.put({"type": "quit"})
        # The run is gone, whatever ended it: nothing of ours may stay on the device.
        os.killpg(0, signal.SIGKILL)

    def _stop_engine(self) -> None:
        if self._engine is None:
            return
        future = asyncio.run_coroutine_threadsafe(self._engine.stop(), self._loop)
        try:
            future.result(timeout=STOP_ENGINE_S)
        except TimeoutError:
            print("the engine did not stop in time; its processes will be killed", flush=True)


def main() -> None:
    """usage: python -m loadfleet_agent.worker CHANNEL_FD RUN_FOLDER HOME"""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides, and tells us
    descriptor, run_folder, home = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    plan = RunPlan.model_validate_json((run_folder / "plan.json").read_bytes())
    channel = Channel(socket.socket(fileno=descriptor))
    Worker(channel, plan, run_folder, home).serve()
    channel.send("bye")
    sys.stdout.flush()
    # Native threads of engine and LoadGen must not keep or crash the interpreter's exit.
    os._exit(0)


if __name__ == "__main__":
    main()
