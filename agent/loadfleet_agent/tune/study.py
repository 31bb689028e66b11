"""What to try next: Optuna's tree-structured Parzen estimator over a journal that outlives us.

Optuna is the field's library for this: it models values and their combinations, copes with
failed trials, and its journal file lets a search that was stopped go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from ..contract.status import FailureCode
from ..contract.tuning import TunedTrial
from .space import Choice

STARTUP_TRIALS = 6
"""Drawn at random before a model is made of what was seen."""
JOURNAL = "journal.log"


class Study:
    """The trials of one search. Values are samples per second, the more the better.

    Optuna sees the index of each value, so that ordered ones keep their order whatever they are.
    """

    def __init__(self, folder: Path, space: Sequence[Choice], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._distributions: dict[str, BaseDistribution] = {
            choice.name: IntDistribution(0, len(choice.values) - 1)
            if choice.ordered
            else CategoricalDistribution(list(range(len(choice.values))))
            for choice in space
        }
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        self._study = optuna.create_study(
            study_name="tune", storage=storage, direction="maximize", load_if_exists=True
        )
        # A seed of its own for each start, or a search that goes on would repeat its draws.
        self._study.sampler = TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            seed=seed + len(self._study.get_trials(deepcopy=False)),
        )
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Of a search that was killed: it says nothing of these settings.
            self._study.tell(trial.number, state=TrialState.FAIL)

    @property
    def samples(self) -> int | None:
        """Of each burst, so that all trials do the same work; None before the first one."""
        value: int | None = self._study.user_attrs.get("samples")
        return value

    @samples.setter
    def samples(self, value: int) -> None:
        self._study.set_user_attr("samples", value)

    @property
    def engine(self) -> str:
        """Distribution and version of what was measured; '' before the first trial."""
        value: str = self._study.user_attrs.get("engine", "")
        return value

    @engine.setter
    def engine(self, value: str) -> None:
        self._study.set_user_attr("engine", value)

    @property
    def trials(self) -> tuple[TunedTrial, ...]:
        """Those that have ended, in their order, numbered without the ones that were broken off."""
        ended = self._study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
        )
        told = [trial for trial in ended if "seconds" in trial.user_attrs]
        return tuple(self._told(number, trial) for number, trial in enumerate(told))

    @property
    def best(self) -> TunedTrial | None:
        measured = [trial for trial in self.trials if trial.samples_per_s is not None]
        return max(measured, key=lambda trial: trial.samples_per_s or 0.0, default=None)

    def propose(self, settings: Mapping[str, Any]) -> None:
        """Lets the next ``ask`` give these settings, unless they were tried already."""
        indices = {c.name: c.values.index(settings[c.name]) for c in self._space}
        self._study.enqueue_trial(indices, skip_if_exists=True)

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """A trial, and the settings that it stands for."""
        trial = self._study.ask(self._distributions)
        return trial, {c.name: c.values[trial.params[c.name]] for c in self._space}

    def tell(self, trial: Trial, samples_per_s: float, seconds: float) -> None:
        trial.set_user_attr("seconds", seconds)
        self._study.tell(trial, samples_per_s)

    def tell_failure(self, trial: Trial, code: FailureCode, reason: str, seconds: float) -> None:
        """Pruned in Optuna's words: it counts as worse than any that was measured."""
        trial.set_user_attr("failure", code.value)
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("seconds", seconds)
        self._study.tell(trial, state=TrialState.PRUNED)

    def tell_known(self, trial: Trial, known: TunedTrial | None) -> None:
        """Settings that were tried before (or that cannot work) cost no second measurement."""
        if known is not None and known.samples_per_s is not None:
            self._study.tell(trial, known.samples_per_s)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def _told(self, number: int, trial: FrozenTrial) -> TunedTrial:
        failure = trial.user_attrs.get("failure")
        return TunedTrial(
            number=number,
            settings={c.name: c.values[trial.params[c.name]] for c in self._space},
            samples_per_s=trial.value if trial.state is TrialState.COMPLETE else None,
            failure=None if failure is None else FailureCode(failure),
            reason=trial.user_attrs.get("reason", ""),
            seconds=trial.user_attrs["seconds"],
        )
