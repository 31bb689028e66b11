"""Rounds are data, and the data are those of MLPerf."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.benchmark import SEEDS_BY_ROUND, Suite
from loadfleet_aggregator.submission.fields import MEASUREMENT_FIELDS, SYSTEM_FIELDS
from loadfleet_aggregator.submission.rounds import ROUNDS, Division, forbidden_labels


class TestRounds:
    def test_the_newest_comes_first(self) -> None:
        assert list(ROUNDS) == ["v6.1", "v5.1"]

    @pytest.mark.parametrize("name", ROUNDS)
    def test_each_has_its_own_seeds(self, name: str) -> None:
        assert ROUNDS[name].seeds == SEEDS_BY_ROUND[name]

    @pytest.mark.parametrize("name", ROUNDS)
    def test_the_benchmarks_folders_have_a_dot_where_loadgen_has_an_underscore(
        self, name: str
    ) -> None:
        assert ROUNDS[name].benchmarks == {
            Suite.DATACENTER: "llama3.1-8b",
            Suite.EDGE: "llama3.1-8b-edge",
        }

    def test_no_two_files_have_one_place(self) -> None:
        for item in ROUNDS.values():
            paths = [file.path for file in item.files]
            paths += [item.measurements, item.scenario_readme]
            assert len(set(paths)) == len(paths)


class TestFields:
    def test_of_a_system_are_35_of_which_26_must_say_something(self) -> None:
        assert len({field.name for field in SYSTEM_FIELDS}) == len(SYSTEM_FIELDS) == 35
        assert sum(field.required for field in SYSTEM_FIELDS) == 26

    def test_of_measurements_are_5(self) -> None:
        assert [field.name for field in MEASUREMENT_FIELDS] == [
            "input_data_types",
            "retraining",
            "starting_weights_filename",
            "weight_data_types",
            "weight_transformations",
        ]


LABELS = (
    "short",
    "synthetic-dataset",
    "rebuilt-dataset",
    "random-weights",
    "null-engine",
    "output-limit-64",
    "prefix-caching",
    "one that is not known yet",
)


class TestForbiddenLabels:
    def test_closed_takes_none(self) -> None:
        assert forbidden_labels(Division.CLOSED, LABELS) == LABELS

    def test_open_takes_another_model_and_another_length_of_answers(self) -> None:
        assert set(LABELS) - set(forbidden_labels(Division.OPEN, LABELS)) == {
            "random-weights",
            "rebuilt-dataset",
            "output-limit-64",
        }

    @pytest.mark.parametrize("division", Division)
    def test_a_run_without_labels_is_taken(self, division: Division) -> None:
        assert forbidden_labels(division, ()) == ()
