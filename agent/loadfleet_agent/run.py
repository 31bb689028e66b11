"""A run from its plan to its manifest: the phases in order, each checkpointed.

The run watches, the worker works: see ``worker``. Whatever happens, the host is left with a
status that says how it ended, and with no process of ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from .accuracy.accuracy_log import read_accuracy_log
from .accuracy.judge import judge_accuracy
from .accuracy.punkt import install_punkt
from .barrier import await_start, clear_start
from .contract.base import utc_now
from .contract.benchmark import Mode, Scenario
from .contract.energy import PhaseEnergy, phase_energies
from .contract.evaluation import EvaluationPlan, EvaluationResult
from .contract.files import write_atomic, write_model
from .contract.gate import GateFinding, check_configurations
from .contract.host import HostFacts
from .contract.labels import result_labels
from .contract.needs import unmet_by_host, unmet_by_model
from .contract.plan import RunPlan, phase_name, rate_name
from .contract.result import (
    Accuracy,
    EngineFacts,
    FileEntry,
    HostResult,
    Manifest,
    ModelFacts,
    PhaseResult,
    RateResult,
)
from .contract.run_folder import (
    ACCURACY_LOG,
    ACCURACY_TEXT,
    ENGINE_FACTS,
    EVALUATION_RESULT,
    HOST_FACTS,
    MANIFEST,
    NOT_IN_MANIFEST,
    PHASE_RESULT,
    PHASES,
    RATE_RESULT,
    RESULT,
    TELEMETRY,
    file_sha256,
)
from .contract.status import Failure, FailureCode, Level, State, Status, make_failure
from .dataset.library import SampleLibrary, build_library
from .engine_process import EngineProcess
from .evaluation.environment import offline_environment
from .failure import RunFailure, explain_os_error
from .host.facts import boot_id, changed_facts, host_facts
from .host.telemetry import Telemetry
from .model.resolve import model_facts, resolve_model
from .model.tokenizer import load_tokenizer
from .run_state import RunState

FIRST_PHASES = ("inspect", "prepare", "load", "warm-up")
LAST_PHASES = ("score", "seal")
RESERVE_BYTES = 1 << 20
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGPWR, signal.SIGUSR1)


def prepare(
    plan: RunPlan, home: Path, tell: Callable[[int, int], None] = lambda *_: None
) -> tuple[ModelFacts, SampleLibrary | None, Path]:
    """Model, samples and NLTK data, ready on this host; samples only for LoadGen's runs.

    All that evaluations will ask is tried; ``tell`` gets how far that is. Raises RunFailure.
    """
    if plan.evaluations:
        # Before anything imports a library of Hugging Face, which reads them as it is imported.
        # The worker, which asks the questions, gets the same.
        os.environ.update(offline_environment(home))
    folder, name = resolve_model(plan.model, home)
    facts = model_facts(folder, name)
    if unmet := unmet_by_model(plan.needs, facts.precision):
        raise RunFailure(FailureCode.UNFIT_MODEL, f"{facts.path}: {unmet}")
    library = build_library(plan, facts, home) if plan.scenarios else None
    nltk_data = install_punkt(home / "cache")
    if plan.evaluations:
        _check_evaluations(plan, facts, home, nltk_data, tell)
    return facts, library, nltk_data


def _check_evaluations(
    plan: RunPlan, model: ModelFacts, home: Path, nltk_data: Path, tell: Callable[[int, int], None]
) -> None:
    os.environ["NLTK_DATA"] = str(nltk_data)
    try:
        # lm_eval and transformers are heavy and needed here alone.
        from .evaluation.check import check_evaluations

        check_evaluations(plan, model, home, tell)
    except ImportError as error:
        raise RunFailure(
            FailureCode.PACKAGE_MISSING, f"evaluations need the package {error.name or error}"
        ) from error


class Run:
    """One attempt at a run. ``execute`` returns its result, which is also in result.json."""

    def __init__(
        self, plan: RunPlan, folder: Path, home: Path, attempt: int, unit: str | None
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._home = home
        self._started = utc_now()
        self._attempt = attempt
        self._reserve = folder / ".reserve"
        self._reserve.write_bytes(b"\0" * RESERVE_BYTES)
        self._phase_names = (
            *FIRST_PHASES,
            *_steps(plan),
            *LAST_PHASES,
        )
        for name in (RESULT, MANIFEST):  # of an attempt that failed
            (folder / name).unlink(missing_ok=True)
        self._state = RunState(folder, self._first_status(unit), self._interrupt)
        self._interruption: RunFailure | None = None
        self._is_stopping = False
        self._shutdown = False
        self._facts: HostFacts | None = None
        self._model: ModelFacts | None = None
        self._library: SampleLibrary | None = None
        self._nltk_data = Path()
        self._engine_facts: EngineFacts | None = None
        self._phases: dict[str, PhaseResult] = {}
        self._rates: dict[Scenario, RateResult] = {}
        self._evaluations: dict[str, EvaluationResult] = {}
        self._accuracy: list[Accuracy] = []
        self._warnings: list[str] = []

    def execute(self) -> HostResult:
        """All phases. Never raises for a reason that belongs into the result."""
        telemetry = Telemetry(self._folder / TELEMETRY)
        failure: Failure | None = None
        with self._signals():
            try:
                telemetry.start()
                self._work()
            except RunFailure as error:
                failure = make_failure(error.code, self._state.status.phase, error.message)
            except OSError as error:
                code, message = explain_os_error(error, self._folder)
                failure = make_failure(code, self._state.status.phase, message)
            except Exception as error:  # the host's verdict must say why, whatever it was
                failure = make_failure(
                    FailureCode.INTERNAL,
                    self._state.status.phase,
                    f"{type(error).__name__}: {error}",
                )
                traceback.print_exc()
        telemetry.stop()
        return self._finish(failure)

    # The phases.

    def _work(self) -> None:
        limits = self._plan.inactivity
        self._enter("inspect", limits.prepare_s)
        self._facts = host_facts()
        write_model(self._folder / HOST_FACTS, self._facts)
        if unmet := unmet_by_host(self._plan.needs, self._facts.gpus):
            raise RunFailure(FailureCode.UNFIT_HOST, unmet)
        self._enter("prepare", limits.prepare_s)
        self._model, self._library, self._nltk_data = prepare(
            self._plan, self._home, self._state.progress
        )
        for skipped in self._library.facts.skipped if self._library else ():
            self._warn("dataset-skipped", f"dataset {skipped.source} skipped: {skipped.reason}")
        self._restore_phases()
        self._state.barriers_ahead(
            tuple(name for name in self._plan.barriers if name not in self._phases)
        )
        missing = [phase for phase in self._plan.phases if phase_name(*phase) not in self._phases]
        unasked = [item for item in self._plan.evaluations if item.name not in self._evaluations]
        if missing or unasked:
            self._run_phases(missing, unasked)
        self._enter("score", limits.score_s, unit="samples")
        self._score()
        self._enter("seal", limits.prepare_s)

    def _run_phases(
        self, missing: list[tuple[Scenario, Mode]], unasked: list[EvaluationPlan]
    ) -> None:
        assert self._model is not None
        limits = self._plan.inactivity
        self._enter("load", limits.load_s)
        engine = EngineProcess(self._plan, self._folder, self._home)
        in_order = False
        try:
            engine.send("load", model=self._model.model_dump(mode="json"))
            self._engine_facts = EngineFacts.model_validate(engine.receive()["engine"])
            write_model(self._folder / ENGINE_FACTS, self._engine_facts)
            self._enter("warm-up", limits.load_s)
            engine.send("warm-up")
            engine.receive()
            for scenario, mode in missing:
                if scenario in self._plan.searched and scenario not in self._rates:
                    self._find_rate(engine, scenario)
                start = self._wait_at_barrier(engine, phase_name(scenario, mode))
                name = phase_name(scenario, mode)
                self._enter(name, limits.generate_s, unit="samples", timed=True)
                engine.send(
                    "phase",
                    scenario=scenario,
                    mode=mode,
                    target_qps=self._target_qps(scenario),
                    start_utc=start,
                )
                self._follow(engine)
                self._adopt_phase(phase_name(scenario, mode))
            for evaluation in unasked:
                self._enter(evaluation.name, limits.generate_s, unit="questions")
                engine.send("evaluate", evaluation=evaluation.model_dump(mode="json"))
                self._follow(engine)
                self._adopt_evaluation(evaluation)
            in_order = True
        finally:
            with self._uninterrupted():
                engine.close(abort=not in_order)

    def _wait_at_barrier(self, engine: EngineProcess, name: str) -> str | None:
        """The moment at which a phase is to start, as ISO text; None: as soon as it can."""
        if name not in self._plan.barriers:
            return None
        clear_start(self._folder, name)
        self._state.barrier(name)
        start = await_start(
            self._folder, name, self._plan.inactivity.barrier_s, engine.require_alive
        )
        self._state.event(
            Level.INFO, "barrier-passed", f"{name} starts at {start:%Y-%m-%dT%H:%M:%S.%fZ}"
        )
        return start.isoformat()

    def _find_rate(self, engine: EngineProcess, scenario: Scenario) -> None:
        name = rate_name(scenario)
        self._enter(name, self._plan.inactivity.generate_s, unit="samples", timed=True)
        engine.send(
            "rate", scenario=scenario, offline_samples_per_second=self._offline_rate(scenario)
        )
        self._follow(engine)
        path = self._folder / PHASES / name / RATE_RESULT
        self._adopt_rate(RateResult.model_validate_json(path.read_bytes()))

    def _adopt_rate(self, found: RateResult) -> None:
        self._rates[found.scenario] = found
        self._state.event(
            Level.INFO,
            "rate-found",
            f"{found.scenario}: {found.target_qps:g} samples/s, after {len(found.probes)} short "
            f"runs; {found.highest_held_qps:.3g} held",
        )

    def _offline_rate(self, scenario: Scenario) -> float | None:
        """Samples per second that this engine did Offline, the best that is known."""
        performance = phase_name(Scenario.OFFLINE, Mode.PERFORMANCE)
        if scenario is Scenario.OFFLINE:
            return None
        if performance in self._phases:
            return self._phases[performance].loadgen.samples_per_second
        return next((rate.offline_samples_per_second for rate in self._rates.values()), None)

    def _target_qps(self, scenario: Scenario) -> float | None:
        given = self._plan.scenario(scenario).target_qps
        found = self._rates.get(scenario)
        return given if found is None else found.target_qps

    def _follow(self, engine: EngineProcess) -> None:
        """Passes progress on until the phase is done."""
        while (message := engine.receive())["type"] != "phase-done":
            if message["type"] == "progress":
                self._state.progress(message["done"], message["total"], tokens=message["tokens"])

    def _adopt_phase(self, name: str) -> None:
        path = self._folder / PHASES / name / PHASE_RESULT
        result = PhaseResult.model_validate_json(path.read_bytes())
        self._phases[name] = result
        speed = result.loadgen.tokens_per_second
        said = f"{speed:,.1f} tokens/s" if speed else f"{result.samples} samples"
        self._state.event(Level.INFO, "phase-finished", f"{name} finished: {said}")
        for finding in result.gate:
            self._warn(f"gate-{finding.rule}", f"{name} is not valid: {finding}")

    def _adopt_evaluation(self, evaluation: EvaluationPlan) -> None:
        path = self._folder / PHASES / evaluation.name / EVALUATION_RESULT
        result = EvaluationResult.model_validate_json(path.read_bytes())
        self._evaluations[result.name] = result
        said = f"{result.questions:,} questions"
        if (score := result.score) is not None:
            interval = score.micro_interval
            said = (
                f"{score.micro:.2f} % of {said} right, {interval.low:.2f} to {interval.high:.2f} "
                "with 95 % confidence"
            )
        self._state.event(Level.INFO, "phase-finished", f"{result.name} finished: {said}")

    def _restore_phases(self) -> None:
        """Keeps what an earlier attempt has found, and its phases that are whole and valid."""
        for scenario in self._plan.searched:
            folder = self._folder / PHASES / rate_name(scenario)
            if (found := _read_rate(folder, self._plan.plan_hash)) is not None:
                self._adopt_rate(found)
        for phase in self._plan.phases:
            folder = self._folder / PHASES / phase_name(*phase)
            if (result := _read_phase(folder, self._plan.plan_hash)) is not None:
                self._phases[result.name] = result
                self._state.event(
                    Level.INFO, "phase-kept", f"{result.name} is finished already and kept"
                )
        for evaluation in self._plan.evaluations:
            folder = self._folder / PHASES / evaluation.name
            done = _read_evaluation(folder, evaluation, self._plan.plan_hash)
            if done is not None:
                self._evaluations[done.name] = done
                self._state.event(
                    Level.INFO, "phase-kept", f"{done.name} is finished already and kept"
                )
        if self._phases or self._evaluations:
            earlier = self._folder / ENGINE_FACTS
            with contextlib.suppress(OSError, ValidationError):
                self._engine_facts = EngineFacts.model_validate_json(earlier.read_bytes())

    def _score(self) -> None:
        # rouge-score and nltk are heavy and needed here alone.
        from .accuracy.rouge import accuracy_text, score_answers

        if self._library is None:
            return
        assert self._model is not None
        tokenizer = load_tokenizer(Path(self._model.path))
        for scenario, mode in self._plan.phases:
            if mode is not Mode.ACCURACY:
                continue
            folder = self._folder / PHASES / phase_name(scenario, mode)
            score = score_answers(
                read_accuracy_log(folder / ACCURACY_LOG),
                self._library.references,
                tokenizer,
                self._nltk_data,
                self._state.progress,
            )
            write_atomic(folder / ACCURACY_TEXT, accuracy_text(score))
            labels = result_labels(self._plan, self._library.facts)
            judged = judge_accuracy(self._plan.suite, scenario, score, labels)
            self._accuracy.append(judged)
            if judged.passed is False:
                self._warn("accuracy", f"{scenario.value} accuracy: {judged.reason}")

    # The end.

    def _finish(self, failure: Failure | None) -> HostResult:
        # On a full disk this is the room for result, manifest and last status.
        self._reserve.unlink(missing_ok=True)
        if failure is not None:
            self._state.event(Level.ERROR, failure.code, failure.message, failure.hint)
        stopped = failure is not None and failure.code is FailureCode.STOPPED
        changed = () if self._facts is None else changed_facts(self._facts, host_facts())
        for change in changed:
            self._warn("host-changed", f"the host changed during the run: {change}")
        between = self._between_phases()
        result = HostResult(
            run_id=self._plan.run_id,
            host=self._plan.host,
            plan_hash=self._plan.plan_hash,
            outcome="complete" if failure is None else "stopped" if stopped else "failed",
            failure=failure,
            labels=result_labels(self._plan, self._library.facts if self._library else None),
            started_utc=self._started,
            # Of an earlier attempt too: the clock may have been set back since.
            ended_utc=max(self._started, utc_now()),
            attempts=self._attempt,
            model=self._model,
            dataset=self._library.facts if self._library else None,
            engine=self._engine_facts,
            rates=tuple(self._rates[s] for s in self._plan.searched if s in self._rates),
            phases=self._in_order(),
            gate=between,
            accuracy=tuple(self._accuracy),
            energy=self._energy(),
            evaluations=tuple(
                self._evaluations[item.name]
                for item in self._plan.evaluations
                if item.name in self._evaluations
            ),
            changed_facts=changed,
            warnings=tuple(self._warnings),
        )
        write_model(self._folder / RESULT, result)
        write_model(self._folder / MANIFEST, make_manifest(self._folder, self._plan.run_id))
        states = {"complete": State.DONE, "failed": State.FAILED, "stopped": State.STOPPED}
        message = failure.message if failure else "" if result.valid else "finished, not valid"
        self._state.end(
            states[result.outcome], failure=failure, message=message, shutdown=self._shutdown
        )
        return result

    def _energy(self) -> tuple[PhaseEnergy, ...]:
        """Of the performance phases, also of those that an earlier attempt has left."""
        performance = (phase for phase in self._in_order() if phase.mode is Mode.PERFORMANCE)
        return phase_energies(
            self._folder / TELEMETRY,
            [gpu.index for gpu in self._facts.gpus] if self._facts else [],
            [(phase.name, phase.started_utc, phase.ended_utc) for phase in performance],
        )

    def _in_order(self) -> tuple[PhaseResult, ...]:
        return tuple(self._phases[name] for name in self._phase_names if name in self._phases)

    def _between_phases(self) -> tuple[GateFinding, ...]:
        ran = {name: phase.configuration_sha256 for name, phase in self._phases.items()}
        ran |= {name: done.configuration_sha256 for name, done in self._evaluations.items()}
        findings = check_configurations(ran)
        for finding in findings:
            self._warn(f"gate-{finding.rule}", f"the phases differ: {finding}")
        return findings

    # Status.

    def _enter(
        self, name: str, limit_s: float, unit: str = "steps", *, timed: bool = False
    ) -> None:
        index = self._phase_names.index(name)
        self._state.phase(name, index, limit_s=limit_s, unit=unit, timed=timed)

    def _warn(self, code: str, message: str) -> None:
        self._warnings.append(message)
        self._state.event(Level.WARNING, code, message)

    def _first_status(self, unit: str | None) -> Status:
        return Status(
            run_id=self._plan.run_id,
            plan_hash=self._plan.plan_hash,
            seq=0,
            state=State.RUNNING,
            phase=FIRST_PHASES[0],
            phase_index=0,
            phase_count=len(self._phase_names),
            done=0,
            total=0,
            unit="steps",
            rate_per_s=0.0,
            tokens_per_s=0.0,
            message="",
            barriers_ahead=self._plan.barriers,
            attempt=self._attempt,
            started_utc=self._started,
            updated_utc=self._started,
            last_progress_utc=self._started,
            pid=os.getpid(),
            systemd_unit=unit,
            boot_id=boot_id(),
        )

    # Interruption: a signal from outside, or the heartbeat. Both arrive in the main thread.
    # SIGPWR says what a container cannot see: the host itself is going down.

    def _interrupt(self, code: FailureCode, reason: str) -> None:
        """Called by the heartbeat when a phase must not go on."""
        self._interruption = RunFailure(code, reason)
        os.kill(os.getpid(), signal.SIGUSR1)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            return  # the container's unit sends SIGTERM after SIGPWR
        if number != signal.SIGUSR1:
            self._is_stopping = True
            self._shutdown = number == signal.SIGPWR or _host_is_shutting_down()
            # Which signal told it depends on the runtime, and helps nobody.
            how = "as the host was shut down or rebooted"
            if not self._shutdown:
                how = f"by {signal.Signals(number).name}"
            self._interruption = RunFailure(FailureCode.STOPPED, f"stopped {how}")
        if self._interruption is not None:
            raise self._interruption

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {kind: signal.signal(kind, self._on_signal) for kind in SIGNALS}
        try:
            yield
        finally:
            for kind in before:
                signal.signal(kind, signal.SIG_IGN)

    @contextlib.contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """A stop that arrives while the engine is being ended changes nothing any more."""
        before = {kind: signal.signal(kind, signal.SIG_IGN) for kind in SIGNALS}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def make_manifest(folder: Path, run_id: str) -> Manifest:
    """Size and hash of every file of a run folder, but for those that may still change."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in NOT_IN_MANIFEST and not path.name.endswith(".tmp"):
            files[name] = FileEntry(size_bytes=path.stat().st_size, sha256=file_sha256(path))
    return Manifest(run_id=run_id, files=files)


def _steps(plan: RunPlan) -> Iterator[str]:
    """Names of the plan's LoadGen runs, each scenario's search for its rate before them, and of its
    evaluations."""
    for item in plan.scenarios:
        if item.scenario in plan.searched:
            yield rate_name(item.scenario)
        for mode in item.modes:
            yield phase_name(item.scenario, mode)
    for evaluation in plan.evaluations:
        yield evaluation.name


def _read_rate(folder: Path, plan_hash: str) -> RateResult | None:
    try:
        found = RateResult.model_validate_json((folder / RATE_RESULT).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.plan_hash == plan_hash else None


def _read_phase(folder: Path, plan_hash: str) -> PhaseResult | None:
    """The phase's result if it is of this plan, valid, and its files are as it left them."""
    try:
        result = PhaseResult.model_validate_json((folder / PHASE_RESULT).read_bytes())
        whole = all(file_sha256(folder / name) == digest for name, digest in result.files.items())
    except (OSError, ValidationError):
        return None
    return result if whole and result.valid and result.plan_hash == plan_hash else None


def _read_evaluation(
    folder: Path, evaluation: EvaluationPlan, plan_hash: str
) -> EvaluationResult | None:
    """The result if it is of this plan and shard, and its files are as it left them."""
    try:
        result = EvaluationResult.model_validate_json((folder / EVALUATION_RESULT).read_bytes())
        whole = all(file_sha256(folder / name) == digest for name, digest in result.files.items())
    except (OSError, ValidationError):
        return None
    ours = result.plan_hash == plan_hash and result.shard == evaluation.shard
    return result if whole and ours and result.name == evaluation.name else None


def _host_is_shutting_down() -> bool:
    """Whether systemd is taking the host down, of which a SIGTERM to us is a part."""
    try:
        done = subprocess.run(
            ["systemctl", "is-system-running"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == "stopping"
