"""One run of LoadGen over a started engine, from its settings to its logs."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import mlperf_loadgen as loadgen

from ..contract.base import utc_now
from ..contract.benchmark import Mode, Scenario, Suite
from ..contract.run_folder import AUDIT_CONFIG, USER_CONF
from ..contract.status import FailureCode
from ..engine.base import Engine, EngineDied
from ..failure import RunFailure
from ..host.clock import ClockWatch, describe_step
from .settings import Fields, audit_config, expected_samples, resolve_settings
from .sut import SampleRecord, SystemUnderTest

MODES = {
    Mode.PERFORMANCE: loadgen.TestMode.PerformanceOnly,
    Mode.ACCURACY: loadgen.TestMode.AccuracyOnly,
    Mode.TEST06: loadgen.TestMode.PerformanceOnly,
}


@dataclass(frozen=True)
class PreparedRun:
    """A run whose folder, user.conf and settings are ready."""

    name: str
    scenario: Scenario
    mode: Mode
    folder: Path
    fields: Fields

    def expected_samples(self, samples: int) -> int:
        """How many it will issue, of a library of ``samples``."""
        return expected_samples(self.fields, self.scenario, self.mode, samples)


@dataclass(frozen=True)
class Drive:
    """What LoadGen drives, and who watches."""

    engine: Engine
    loop: asyncio.AbstractEventLoop
    """The engine's, which runs in another thread."""
    prompts: Sequence[Sequence[int]]
    watch: Callable[[SystemUnderTest, int], None]
    """Given the system under test and the samples that will be issued, before LoadGen starts:
    to read its progress and to abort it."""
    start_utc: datetime | None = None
    """LoadGen starts at this moment; None: as soon as it can."""


@dataclass(frozen=True)
class Answered:
    """What a run has left in memory."""

    records: Sequence[SampleRecord]
    started: datetime
    started_ns: int
    """The same moment on the monotonic clock."""
    ended: datetime
    cpu_s: float
    """Processor seconds of this process: LoadGen's threads and the event loop's."""


def prepare_run(
    name: str, suite: Suite, scenario: Scenario, mode: Mode, folder: Path, conf: str
) -> PreparedRun:
    """An emptied folder with its ``user.conf``, and LoadGen's settings from it."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.iterdir():
        leftover.unlink()
    path = folder / USER_CONF
    path.write_text(conf, encoding="utf-8")
    if mode is Mode.TEST06:
        (folder / AUDIT_CONFIG).write_text(audit_config(), encoding="utf-8")
    return PreparedRun(name, scenario, mode, folder, resolve_settings(path, suite, scenario))


def run_loadgen(run: PreparedRun, drive: Drive) -> Answered:
    """Runs LoadGen to its end, in this thread.

    Raises RunFailure if the engine died, the clock was set, or on abort; LoadGen's logs are there
    all the same.
    """
    sut = SystemUnderTest(
        drive.engine, drive.loop, drive.prompts, stream=run.scenario.streams, run_tag=run.name
    )
    drive.watch(sut, run.expected_samples(len(drive.prompts)))
    if drive.start_utc is not None:
        _await(drive.start_utc, sut)
    clock = ClockWatch()
    started, started_ns, cpu = utc_now(), time.monotonic_ns(), time.process_time()
    _start_test(run, sut, len(drive.prompts))
    lasted_ns, cpu_s = time.monotonic_ns() - started_ns, time.process_time() - cpu
    ended = started + timedelta(microseconds=lasted_ns // 1000)  # whatever sets the clock meanwhile
    if sut.failure is not None:
        raise _explained(sut.failure) from sut.failure
    if (step := clock.step_s) is not None:
        raise RunFailure(FailureCode.CLOCK_SET, describe_step(step))
    if not sut.records:
        raise RunFailure(FailureCode.LOADGEN, "LoadGen ended without one answered sample")
    return Answered(sut.records, started, started_ns, ended, cpu_s)


def _await(moment: datetime, sut: SystemUnderTest) -> None:
    """Until then. Raises RunFailure on abort."""
    if sut.failed.wait(max(0.0, (moment - utc_now()).total_seconds())) and sut.failure is not None:
        raise _explained(sut.failure) from sut.failure


def _explained(failure: BaseException) -> RunFailure:
    if isinstance(failure, RunFailure):
        return failure
    code = FailureCode.ENGINE_DIED if isinstance(failure, EngineDied) else FailureCode.INTERNAL
    return RunFailure(code, f"{type(failure).__name__}: {failure}")


def _start_test(run: PreparedRun, sut: SystemUnderTest, samples: int) -> None:
    settings = loadgen.TestSettings()
    for name, value in run.fields.items():
        setattr(settings, name, value)
    settings.scenario = getattr(loadgen.TestScenario, run.scenario.loadgen)
    settings.mode = MODES[run.mode]
    output = loadgen.LogOutputSettings()
    output.outdir = str(run.folder)
    output.copy_summary_to_stdout = False
    log = loadgen.LogSettings()
    log.log_output = output
    log.enable_trace = False
    system = loadgen.ConstructFastSUT(sut.issue, sut.flush)
    library = loadgen.ConstructQSL(samples, samples, _nothing, _nothing)
    # A collection of a large heap in the timed region would show up as latency.
    gc.collect()
    gc.freeze()
    try:
        # By default LoadGen obeys an audit.config in the working directory, whoever left it
        # there; the run's folder was emptied and holds one for TEST06 alone.
        audit = str(run.folder / AUDIT_CONFIG)
        loadgen.StartTestWithLogSettings(system, library, settings, log, audit)
    finally:
        gc.unfreeze()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    # Tracing is off, but LoadGen makes the file all the same.
    (run.folder / "mlperf_log_trace.json").unlink(missing_ok=True)


def _nothing(_: list[int]) -> None:
    """The samples are in memory already."""
