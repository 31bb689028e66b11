"""The dataset setting: one source or a chain of them, and what its label means."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import DATASET_SAMPLES, EDGE_SAMPLES, Suite
from loadfleet_agent.contract.dataset import (
    CNN_DAILYMAIL_COMMIT,
    DATASET_FILES,
    DatasetFile,
    MlcommonsDataset,
    RebuiltDataset,
    SyntheticDataset,
    not_mlperf,
)
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.labels import result_labels
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.profile import known_profiles, load_profile
from loadfleet_agent.contract.result import DatasetFacts
from loadfleet_agent.contract.settings import HostSettings, SettingsError, parse_settings
from pydantic import TypeAdapter

from ..helpers import make_plan

CHAIN: list[dict[str, Any]] = [
    {"source": "mlcommons"},
    {"source": "file", "path": "/data/cnn_eval.json"},
    {"source": "rebuilt"},
    {"source": "synthetic"},
]


def _facts(label: str) -> DatasetFacts:
    lengths = Distribution(count=1, minimum=1, mean=1, p50=1, p90=1, p99=1, maximum=1)
    return DatasetFacts.model_validate(
        {
            "source": "any",
            "label": label,
            "library_sha256": "0" * 64,
            "samples": 1,
            "input_tokens": lengths,
            "origin": "somewhere",
        }
    )


def test_a_plan_carries_the_whole_chain_with_every_default() -> None:
    assert make_plan(dataset=CHAIN).dataset == (
        MlcommonsDataset(folder=None),
        DatasetFile(path="/data/cnn_eval.json", sha256=None),
        RebuiltDataset(
            repo="abisee/cnn_dailymail",
            revision=CNN_DAILYMAIL_COMMIT,
            config="3.0.0",
            split="validation",
            path=None,
        ),
        SyntheticDataset(seed=0),
    )


@pytest.mark.parametrize("source", CHAIN, ids=lambda source: source["source"])
def test_a_source_alone_is_a_chain_of_one(source: dict[str, Any]) -> None:
    plan = make_plan(dataset=source)
    assert plan == make_plan(dataset=[source])
    assert [item.source for item in plan.dataset] == [source["source"]]


def test_a_chain_goes_through_json_unchanged() -> None:
    plan = make_plan(dataset=CHAIN)
    again = RunPlan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.plan_hash == plan.plan_hash


def test_order_and_every_key_change_the_hash() -> None:
    changes: list[Any] = [
        CHAIN,
        [CHAIN[1], CHAIN[0], *CHAIN[2:]],
        CHAIN[:3],
        CHAIN[3],
        {"source": "mlcommons", "folder": "/data"},
        *({"source": "rebuilt", key: value} for key, value in OTHER_REBUILT.items()),
    ]
    hashes = {make_plan(dataset=change).plan_hash for change in changes}
    assert len(hashes) == len(changes)
    assert set(OTHER_REBUILT) == set(RebuiltDataset.model_fields) - {"source"}


OTHER_REBUILT = {
    "repo": "example/cnn_dailymail",
    "revision": "1" * 40,
    "config": "2.0.0",
    "split": "test",
    "path": "/data/hub",
}


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ([], "at least one source"),
        ("synthetic", "dataset.0: input should be a valid dictionary"),
        ({"source": "cloud"}, "'cloud'"),
        ({}, "source"),
        ([{"source": "file"}], "0.file.path: missing"),
        ([CHAIN[0], {"source": "file"}], "1.file.path: missing"),
        ({"source": "mlcommons", "path": "/data"}, "no such key"),
        ([CHAIN[0], CHAIN[0]], "the source mlcommons is named twice"),
        ([CHAIN[3], CHAIN[0]], "synthetic is always there"),
        ([CHAIN[0], CHAIN[3], {"source": "synthetic", "seed": 1}], "synthetic is always there"),
        ({"source": "rebuilt", "revision": "main"}, "revision"),
        ({"source": "rebuilt", "repo": "cnn_dailymail"}, "repo"),
        ({"source": "rebuilt", "config": "../x"}, "config"),
        ({"source": "rebuilt", "split": "validation[:10%]"}, "split"),
    ],
    ids=str,
)
def test_a_wrong_chain_is_refused_with_its_key(dataset: object, words: str) -> None:
    settings = {"model": {"source": "tiny"}, "dataset": dataset}
    with pytest.raises(SettingsError) as caught:
        parse_settings(settings)
    assert caught.value.key == "dataset"
    assert words in caught.value.message
    assert "; " not in caught.value.message
    assert "\n" not in caught.value.message


def test_two_files_may_stand_in_a_chain() -> None:
    files = [{"source": "file", "path": path} for path in ("/a.json", "/b.json")]
    assert len(make_plan(dataset=files).dataset) == 2


def test_only_a_profile_of_random_weights_takes_made_up_samples_by_itself() -> None:
    """Where the weights are real, nothing is the default, least of all made-up samples."""
    named = {name: load_profile(name).dataset for name in known_profiles()}
    assert {name for name, dataset in named.items() if dataset} == {"dummy-8b"}
    assert HostSettings.model_fields["dataset"].default is None


def test_the_schema_says_that_a_source_may_stand_alone() -> None:
    schema = TypeAdapter(HostSettings).json_schema()["properties"]["dataset"]
    kinds = {"array" if option.get("type") == "array" else "one" for option in schema["anyOf"]}
    assert kinds == {"array", "one"}


def test_each_suite_has_a_file() -> None:
    assert set(DATASET_FILES) == set(Suite)
    assert str(EDGE_SAMPLES) in DATASET_FILES[Suite.EDGE]
    assert DATASET_SAMPLES > EDGE_SAMPLES


@pytest.mark.parametrize(
    ("source", "label", "kept_from"),
    [
        (CHAIN[0], "mlperf-dataset", None),
        (CHAIN[1], "mlperf-dataset", None),
        (CHAIN[2], "rebuilt", "rebuilt-dataset"),
        (CHAIN[3], "synthetic", "synthetic-dataset"),
    ],
)
def test_a_source_has_its_label(source: dict[str, Any], label: str, kept_from: str | None) -> None:
    plan = make_plan(dataset=source)
    assert plan.dataset[0].label == label
    assert not_mlperf(plan.dataset[0].label) == kept_from
    mine = {name for name in plan.labels if name.endswith("-dataset")}
    assert mine == ({kept_from} if kept_from else set())
    assert result_labels(plan, _facts(label)) == result_labels(plan, None) == plan.labels


def test_the_label_of_a_chain_is_that_of_the_source_that_was_used() -> None:
    plan = make_plan(dataset=CHAIN)
    assert result_labels(plan, None) == plan.labels == ("short", "random-weights", "null-engine")
    assert result_labels(plan, _facts("mlperf-dataset")) == plan.labels
    for label in ("rebuilt", "synthetic"):
        assert result_labels(plan, _facts(label)) == (
            *("short", f"{label}-dataset", "random-weights", "null-engine"),
        )
