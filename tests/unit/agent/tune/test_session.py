"""A search over real processes and real LoadGen, with the engine that answers at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.profile import load_profile
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.host.locks import RunLocks
from loadfleet_agent.tune import space
from loadfleet_agent.tune.profile_file import is_replaceable, tuned_profile, write_profile
from loadfleet_agent.tune.session import Request, Tuned, tune

from ..helpers import QUICK, make_plan


def request(**changes: Any) -> Request:
    plan = make_plan(scenarios=["Offline"], run_id="tune", **changes)
    return Request(
        plan, Scenario.OFFLINE, budget_s=600, pairs=1, keep=("max_num_batched_tokens",), seed=0
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def few_values() -> Any:
    """256 is the profile's own, 0 is no number of sequences, so that trial fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "CPU_SEQUENCES", (0, 4))
        yield


@pytest.fixture(scope="module")
def tuned(home: Path, told: list[str], few_values: None) -> Tuned:
    return tune(request(), home, told.append)


class TestSearch:
    def test_tries_every_value_once(self, tuned: Tuned) -> None:
        tried = [trial.settings["max_num_seqs"] for trial in tuned.tuning.trials]
        assert tried[0] == 256
        assert sorted(tried) == [0, 4, 256]

    def test_measures_each_by_loadgen(self, tuned: Tuned) -> None:
        measured = [t for t in tuned.tuning.trials if t.samples_per_s is not None]
        assert len(measured) == 2
        logs = tuned.folder.glob("trial-*/measurement-*/mlperf_log_detail.txt")
        # A trial may have more than one: the first finds the length, the pair may go on with it.
        assert len({log.parents[1] for log in logs}) == 2

    def test_keeps_the_reason_of_a_failure(self, tuned: Tuned) -> None:
        (failed,) = (t for t in tuned.tuning.trials if t.samples_per_s is None)
        assert failed.failure is FailureCode.BAD_PLAN
        assert "max_num_seqs: input should be greater than or equal to 1" in failed.reason

    def test_all_bursts_have_as_many_samples(self, tuned: Tuned) -> None:
        assert tuned.tuning.samples == QUICK["length"]["samples"]

    def test_tells_of_every_trial(self, tuned: Tuned, told: list[str]) -> None:
        assert sum(line.startswith("trial ") for line in told) == 3

    def test_confirms_a_best_that_is_not_the_profile(self, tuned: Tuned) -> None:
        best = max(tuned.tuning.trials, key=lambda t: t.samples_per_s or 0)
        assert len(tuned.tuning.pairs) == (0 if best.number == 0 else 1)

    def test_goes_on_where_it_was(self, tuned: Tuned, home: Path) -> None:
        lines: list[str] = []
        again = tune(replace(request(), pairs=0), home, lines.append)
        assert lines[0].startswith("goes on after 3 trials")
        assert again.tuning.trials == tuned.tuning.trials
        assert again.folder == tuned.folder

    def test_of_another_plan_is_another_search(
        self, tuned: Tuned, home: Path, few_values: None
    ) -> None:
        other = replace(request(generation={"max_tokens": 8}), pairs=0)
        assert tune(other, home, lambda _: None).folder != tuned.folder


class TestProfile:
    def test_can_be_used_and_holds_the_evidence(self, tuned: Tuned, tmp_path: Path) -> None:
        path = tmp_path / "tuned.yaml"
        assert is_replaceable(path)
        write_profile(path, tuned_profile(tuned))
        assert load_profile(str(path)).tuning == tuned.tuning
        assert plan_with(path).engine == tuned.plan.engine
        assert is_replaceable(path)

    def test_names_the_model_and_the_dataset_of_its_base(
        self, tuned: Tuned, tmp_path: Path
    ) -> None:
        based = replace(tuned, plan=tuned.plan.model_copy(update={"profile": "dummy-8b"}))
        write_profile(tmp_path / "tuned.yaml", tuned_profile(based))
        found = load_profile(str(tmp_path / "tuned.yaml"))
        assert found.model == load_profile("dummy-8b").model
        assert found.dataset == load_profile("dummy-8b").dataset

    def test_of_someone_else_is_not_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text("description: mine\nbuild: cpu\n", encoding="utf-8")
        assert not is_replaceable(path)


def plan_with(profile: Path) -> RunPlan:
    settings = parse_settings(QUICK | {"profile": str(profile)})
    return resolve_plan(settings, run_id="run", host="host")


def test_a_run_on_the_host_is_not_disturbed(tmp_path: Path) -> None:
    locks = RunLocks(tmp_path, (), {"run_id": "other", "since": "now"})
    try:
        with pytest.raises(RunFailure, match="busy: run other") as raised:
            tune(request(), tmp_path, lambda _: None)
    finally:
        locks.close()
    assert raised.value.code is FailureCode.BUSY


def test_a_profile_that_does_not_run_ends_the_search(tmp_path: Path) -> None:
    """The null engine has no answer of 4,000 tokens for prompts that are longer than the rest."""
    plan = make_plan(
        run_id="tune", scenarios=["Offline"], model={"source": "path", "path": str(tmp_path)}
    )
    with pytest.raises(RunFailure):
        tune(replace(request(), plan=plan), tmp_path / "home", lambda _: None)
    assert not list((tmp_path / "home" / "tune").glob("*/journal.log"))
