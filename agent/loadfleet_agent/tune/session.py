"""A search within a budget of time: try settings, then confirm the best against the profile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import __version__
from ..contract.base import digest, utc_now
from ..contract.benchmark import Scenario
from ..contract.host import GpuFacts, HostFacts
from ..contract.plan import RunPlan
from ..contract.profile import describe_errors
from ..contract.rate_search import FIRST_SHARE, offline_burst
from ..contract.result import ModelFacts
from ..contract.status import FailureCode
from ..contract.tuning import Gain, TunedPair, TunedTrial, Tuning, measure_gain
from ..dataset.library import SampleLibrary
from ..failure import RunFailure
from ..host.facts import host_facts
from ..host.placement import plan_gpus
from ..run import prepare
from ..runs import lock_host
from .engine import TunedEngine
from .first_guess import likely_settings
from .space import Choice, base_settings, search_space, why_senseless, with_settings
from .study import Study

FOLDER = "tune"
BURST_S = 45.0
"""Length of a measured Offline burst: filling and emptying the batch then weigh little."""
CONFIRMING_SHARE = 0.4
"""Of the budget, at most, that is kept for pairs of the profile and the best."""
UNLIKELY = 50
"""Proposals in a row that were tried before, after which the space counts as exhausted."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is to be tuned, and how long."""

    plan: RunPlan
    scenario: Scenario
    budget_s: float
    pairs: int
    keep: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Tuned:
    """A finished search."""

    plan: RunPlan
    """With the best settings."""
    tuning: Tuning
    folder: Path
    """Journal, and the logs of every trial."""


def tune(request: Request, home: Path, tell: Tell) -> Tuned:
    """Searches for faster engine settings; goes on where the same search was stopped.

    Raises RunFailure if the host is busy or unfit, or if nothing could be measured; ValueError
    for a name in ``keep`` that is not varied.
    """
    host = host_facts()
    home.mkdir(parents=True, exist_ok=True)
    locks = lock_host(home, host, f"tune-{request.scenario.value.lower()}")
    try:
        model, library, _ = prepare(request.plan, home)
        assert library is not None  # its plan is one of LoadGen's runs
        gpus = plan_gpus(request.plan)
        space = search_space(request.plan, request.scenario, gpus, model, request.keep)
        folder = home / FOLDER / _name(request, host, gpus, model, library, space)
        folder.mkdir(parents=True, exist_ok=True)
        prompt_tokens = library.facts.input_tokens.mean
        guess = likely_settings(request.plan, space, gpus, model, prompt_tokens)
        session = _Session(request, home, folder, space, model, guess, tell)
        try:
            session.search()
            best, pairs = session.confirm()
        finally:
            session.engine.close()
        return session.outcome(best, pairs, host, gpus, library)
    finally:
        locks.close()


def _name(
    request: Request,
    host: HostFacts,
    gpus: Sequence[GpuFacts],
    model: ModelFacts,
    library: SampleLibrary,
    space: Sequence[Choice],
) -> str:
    """One search has one folder: whatever changes what is measured makes another."""
    what = {
        "plan": request.plan.shared,
        "scenario": request.scenario,
        "space": [[choice.name, list(choice.values)] for choice in space],
        "host": [host.hostname, host.nvidia_driver, [gpu.uuid for gpu in gpus]],
        "packages": host.packages,
        "model": [model.config_sha256, model.weights_sha256],
        "dataset": library.facts.library_sha256,
    }
    return f"{request.scenario.value.lower()}-{digest(what)[:12]}"


class _Session:
    """The budget, the study and the engine of one search."""

    def __init__(
        self,
        request: Request,
        home: Path,
        folder: Path,
        space: Sequence[Choice],
        model: ModelFacts,
        guess: dict[str, Any] | None,
        tell: Tell,
    ) -> None:
        self._request = request
        self._folder = folder
        self._space = space
        self._guess = guess
        self._tell = tell
        self._ends = time.monotonic() + request.budget_s
        self._study = Study(folder, space, request.seed)
        self._base = base_settings(request.plan, space)
        self._known = {digest(trial.settings): trial for trial in self._study.trials}
        self._tried_now = 0
        self.engine = TunedEngine(model, home)

    def search(self) -> None:
        """Trials until the time left is needed to confirm the best."""
        if self._known:
            self._tell(f"goes on after {len(self._known)} trials in {self._folder}")
        if not self._space:
            raise RunFailure(FailureCode.BAD_PLAN, "every setting is kept: nothing is left to vary")
        self._study.propose(self._base)
        if self._guess is not None:
            self._study.propose(self._guess)
        repeated = 0
        while repeated < UNLIKELY and self._has_time_for_a_trial():
            trial, settings = self._study.ask()
            known = self._known.get(digest(settings))
            reason = why_senseless(settings, self._request.plan)
            if known is not None or reason:
                self._study.tell_known(trial, known)
                repeated += 1
                continue
            repeated = 0
            began = time.monotonic()
            try:
                value = self._measure(settings, self._trial_folder())
            except RunFailure as error:
                if settings == self._base and error.code is not FailureCode.OUT_OF_GPU_MEMORY:
                    raise  # the profile as it was does not run: nothing to compare with
                seconds = time.monotonic() - began
                self._study.tell_failure(trial, error.code, error.message, seconds)
            else:
                self._study.tell(trial, value, time.monotonic() - began)
            self._tried_now += 1
            if self.engine.facts is not None:
                self._study.engine = self.engine.facts.version
            done = self._study.trials[-1]
            self._known[digest(settings)] = done
            self._tell_trial(done)

    def confirm(self) -> tuple[TunedTrial, list[TunedPair]]:
        """The best trial, and as many pairs with the profile as the time allows."""
        best = self._study.best
        if best is None:
            raise RunFailure(
                FailureCode.OUT_OF_GPU_MEMORY if self._study.trials else FailureCode.BAD_PLAN,
                f"no setting could be measured: see {self._folder}"
                if self._study.trials
                else "the budget is too short for one trial",
            )
        pairs: list[TunedPair] = []
        base = self._known.get(digest(self._base))
        if best.settings == self._base or base is None or base.samples_per_s is None:
            return best, pairs
        last = 0.0
        while len(pairs) < self._request.pairs and time.monotonic() + last < self._ends:
            began = time.monotonic()
            pairs.append(self._pair(best, len(pairs) + 1))
            last = time.monotonic() - began
        if not pairs:
            self._tell("no time is left to confirm it: give a longer --budget")
        return best, pairs

    def outcome(
        self,
        best: TunedTrial,
        pairs: list[TunedPair],
        host: HostFacts,
        gpus: Sequence[GpuFacts],
        library: SampleLibrary,
    ) -> Tuned:
        gain = measure_gain(pairs)
        chosen = best
        if gain is not None and gain.mean <= 0:
            self._tell("the best trial was luck: run again, the profile as it was is as fast")
            chosen, gain = self._known[digest(self._base)], None
        plan = self._request.plan
        return Tuned(
            plan=with_settings(plan, chosen.settings),
            tuning=Tuning(
                scenario=self._request.scenario,
                base_profile=plan.profile,
                finished_utc=utc_now(),
                loadfleet_agent=__version__,
                engine=self._study.engine,
                gpus=tuple(gpu.name for gpu in gpus),
                nvidia_driver=host.nvidia_driver,
                model=self.engine.model.name,
                dataset=library.facts.label,
                samples=self._study.samples or plan.rate_search.queries,
                base=self._base,
                best=chosen.settings,
                trials=self._study.trials,
                pairs=tuple(pairs),
                gain=gain,
            ),
            folder=self._folder,
        )

    # Measuring.

    def _measure(self, settings: Mapping[str, Any], folder: Path) -> float:
        """Samples per second of these settings. Raises RunFailure."""
        try:
            plan = with_settings(self._request.plan, settings)
        except ValidationError as error:
            raise RunFailure(FailureCode.BAD_PLAN, describe_errors(error)) from error
        if self._request.scenario is Scenario.OFFLINE:
            samples = self._study.samples
            if samples is None:
                samples = self._study.samples = self._burst(plan, folder)
            return self.engine.measure_offline(plan, folder, samples)
        rate, reason = self.engine.measure_rate(
            plan, folder, self._request.scenario, self._first_qps(plan, folder)
        )
        if rate is None:
            raise RunFailure(FailureCode.RATE_NOT_FOUND, reason)
        return rate

    def _burst(self, plan: RunPlan, folder: Path) -> int:
        """Samples that last for BURST_S on this engine."""
        first = offline_burst(plan.engine.max_num_seqs, plan.samples)
        rate = self.engine.measure_offline(plan, folder, first)
        wanted = round(rate * BURST_S)
        return min(plan.samples, max(first, wanted))

    def _first_qps(self, plan: RunPlan, folder: Path) -> float:
        best = self._study.best
        if best is not None and best.samples_per_s is not None:
            return best.samples_per_s
        burst = offline_burst(plan.engine.max_num_seqs, plan.samples)
        return FIRST_SHARE * self.engine.measure_offline(plan, folder, burst)

    def _pair(self, best: TunedTrial, number: int) -> TunedPair:
        """Which of the two comes first changes from pair to pair."""
        found: dict[str, float] = {}
        both = {"base": self._base, "best": best.settings}
        # The engine of the last measurement goes on where it can.
        for name in ("best", "base") if number % 2 else ("base", "best"):
            self._tell(f"pair {number} of {self._request.pairs}: {name}")
            folder = self._folder / f"pair-{utc_now():%Y%m%dT%H%M%SZ}-{name}"
            found[name] = self._measure(both[name], folder)
            self._tell(f"  {found[name]:.2f} samples/s")
        return TunedPair(base_samples_per_s=found["base"], best_samples_per_s=found["best"])

    # Time.

    def _has_time_for_a_trial(self) -> bool:
        """The first always has; later ones as long as one and its pairs fit into what is left."""
        trials = [trial.seconds for trial in self._study.trials]
        if not trials or (not self._tried_now and self._study.best is None):
            return self._tried_now == 0 or time.monotonic() < self._ends
        longest = max(trials)
        reserve = min(2 * self._request.pairs * longest, CONFIRMING_SHARE * self._request.budget_s)
        return time.monotonic() + longest + reserve < self._ends

    def _trial_folder(self) -> Path:
        return self._folder / f"trial-{len(self._study.trials)}"

    def _tell_trial(self, trial: TunedTrial) -> None:
        left = max(0.0, self._ends - time.monotonic()) / 60
        varied = {k: v for k, v in trial.settings.items() if v != self._base[k]}
        what = ", ".join(f"{key}={value}" for key, value in varied.items()) or "as it was"
        if trial.samples_per_s is None:
            found = f"failed ({trial.failure}): {trial.reason[:120]}"
        else:
            found = f"{trial.samples_per_s:.2f} samples/s"
            base = self._known.get(digest(self._base))
            if varied and base is not None and base.samples_per_s:
                found += f" ({trial.samples_per_s / base.samples_per_s - 1:+.1%})"
        self._tell(
            f"trial {trial.number}: {what}: {found}, {trial.seconds:.0f} s; {left:.0f} min left"
        )


def describe_gain(gain: Gain | None) -> str:
    """One phrase: the gain and its interval."""
    if gain is None:
        return "no gain"
    if gain.low is None or gain.high is None:
        return f"{gain.mean:+.1%} (one pair: no interval)"
    return f"{gain.mean:+.1%} (95 % interval {gain.low:+.1%} to {gain.high:+.1%})"
