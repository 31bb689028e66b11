"""The study proposes, remembers over a restart, and takes a failure for the worst value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.tune.space import Choice
from loadfleet_agent.tune.study import Study

SEQUENCES = (8, 16, 32, 64, 128, 256, 512)
SPACE = (
    Choice("max_num_seqs", SEQUENCES, ordered=True),
    Choice("kv_cache_dtype", ("auto", "fp8"), ordered=False),
    Choice("performance_mode", ("balanced", "throughput", "interactivity"), ordered=False),
)
BASE = {"max_num_seqs": 8, "kv_cache_dtype": "auto", "performance_mode": "balanced"}


def speed(settings: dict[str, Any]) -> float | None:
    """Best at 128 sequences and fp8; out of memory at 512 without fp8."""
    sequences, cache = settings["max_num_seqs"], settings["kv_cache_dtype"]
    if sequences == 512 and cache == "auto":
        return None
    return 100 - 10 * abs(SEQUENCES.index(sequences) - 4) + 5 * (cache == "fp8")


def spend(study: Study, trials: int) -> None:
    for _ in range(trials):
        trial, settings = study.ask()
        value = speed(settings)
        if value is None:
            study.tell_failure(trial, FailureCode.OUT_OF_GPU_MEMORY, "out of memory", 1.0)
        else:
            study.tell(trial, value, 1.0)


def test_the_proposed_settings_come_first(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, seed=0)
    study.propose(BASE)
    _, settings = study.ask()
    assert settings == BASE


def test_it_finds_the_best_of_42_in_20_trials(tmp_path: Path) -> None:
    """Whatever the seed, within 5 % at the least; a draw at random would miss it often."""
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        study = Study(folder, SPACE, seed)
        study.propose(BASE)
        spend(study, 20)
        assert study.best is not None
        assert study.best.samples_per_s is not None
        assert study.best.samples_per_s >= 95


def test_it_remembers_over_a_restart(tmp_path: Path) -> None:
    first = Study(tmp_path, SPACE, seed=0)
    first.samples, first.engine = 500, "vllm 0.32.0"
    first.propose(BASE)
    spend(first, 5)
    again = Study(tmp_path, SPACE, seed=0)
    assert again.trials == first.trials
    assert (again.samples, again.engine) == (500, "vllm 0.32.0")
    again.propose(BASE)  # was tried: does not come again
    _, settings = again.ask()
    assert settings != BASE


def test_it_does_not_repeat_its_draws_after_a_restart(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        study = Study(tmp_path, SPACE, seed=0)
        trial, settings = study.ask()
        study.tell(trial, 1.0, 1.0)
        drawn.append(settings)
    assert drawn[0] != drawn[1]


def test_a_trial_that_was_broken_off_does_not_count(tmp_path: Path) -> None:
    Study(tmp_path, SPACE, seed=0).ask()
    again = Study(tmp_path, SPACE, seed=0)
    assert again.trials == ()
    spend(again, 1)
    assert [trial.number for trial in again.trials] == [0]


def test_a_failure_is_kept_with_its_reason_and_is_never_the_best(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, seed=0)
    trial, _ = study.ask()
    study.tell_failure(trial, FailureCode.OUT_OF_GPU_MEMORY, "no room", 2.0)
    (told,) = study.trials
    assert (told.failure, told.reason) == (FailureCode.OUT_OF_GPU_MEMORY, "no room")
    assert study.best is None


def test_what_was_known_is_no_trial_of_its_own(tmp_path: Path) -> None:
    study = Study(tmp_path, SPACE, seed=0)
    study.propose(BASE)
    spend(study, 1)
    trial, _ = study.ask()
    study.tell_known(trial, study.trials[0])
    assert len(study.trials) == 1
