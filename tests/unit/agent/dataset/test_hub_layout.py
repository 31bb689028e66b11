"""Which files of a dataset repository are a split, by its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.hub_layout import SplitFiles, split_files
from loadfleet_agent.failure import RunFailure

from .hub_dataset import make_card, write_card

PATHS = [
    "README.md",
    "1.0.0/validation-00000-of-00001.parquet",
    "3.0.0/validation-00001-of-00002.parquet",
    "3.0.0/validation-00000-of-00002.parquet",
    "3.0.0/validation-00000-of-00002.json",
    "3.0.0/train-00000-of-00001.parquet",
    "other/validation.parquet",
]
OURS = ("3.0.0/validation-00000-of-00002.parquet", "3.0.0/validation-00001-of-00002.parquet")


def _split(folder: Path, paths: list[str] = PATHS, **changes: Any) -> SplitFiles:
    write_card(folder, make_card(13_368, **changes))
    return split_files(folder / "README.md", paths, "3.0.0", "validation")


def _configs(data_files: object) -> list[dict[str, object]]:
    return [{"config_name": "3.0.0", "data_files": data_files}]


def test_the_card_names_files_and_rows(tmp_path: Path) -> None:
    assert _split(tmp_path) == SplitFiles(OURS, 13_368)
    assert _split(tmp_path, PATHS[::-1]) == SplitFiles(OURS, 13_368)


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("other/*", ("other/validation.parquet",)),
        (["other/*", "3.0.0/validation-00000*"], (OURS[0], "other/validation.parquet")),
        (OURS[1], (OURS[1],)),
    ],
)
def test_a_pattern_may_be_any(tmp_path: Path, path: object, files: tuple[str, ...]) -> None:
    named = _configs([{"split": "train", "path": "*"}, {"split": "validation", "path": path}])
    assert _split(tmp_path, configs=named).files == files


@pytest.mark.parametrize(
    "info",
    [
        [],
        [{"config_name": "1.0.0", "splits": [{"name": "validation", "num_examples": 1}]}],
        [{"config_name": "3.0.0", "splits": [{"name": "train", "num_examples": 1}]}],
        {"features": [], "splits": [{"name": "validation", "num_examples": 1}]},
    ],
)
def test_a_card_need_not_say_how_many_rows(tmp_path: Path, info: object) -> None:
    assert _split(tmp_path, dataset_info=info) == SplitFiles(OURS, None)


@pytest.mark.parametrize(
    ("paths", "changes"),
    [
        (PATHS[:2], {}),
        (PATHS, {"configs": []}),
        (PATHS, {"configs": _configs([{"split": "train", "path": "*"}])}),
        (PATHS, {"configs": _configs("3.0.0/*")}),
        (PATHS, {"configs": _configs([{"split": "validation", "path": "3.0.0/*.json"}])}),
        (PATHS, {"configs": "3.0.0"}),
        (PATHS, {"configs": _configs([{"path": "3.0.0/*"}])}),
        (PATHS, {"dataset_info": "big"}),
        (PATHS, {"dataset_info": [{"config_name": "3.0.0", "splits": [{"num_examples": 1}]}]}),
    ],
    ids=str,
)
def test_a_card_that_does_not_name_them_is_refused(
    tmp_path: Path, paths: list[str], changes: dict[str, Any]
) -> None:
    with pytest.raises(RunFailure) as caught:
        _split(tmp_path, paths, **changes)
    assert caught.value.code is FailureCode.DATASET_INVALID
    assert str(tmp_path / "README.md") in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"---\n- a\n---\n", b"---\na: [\n---\n", b"\xff\xfe", b""])
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    card = tmp_path / "README.md"
    card.write_bytes(content)
    with pytest.raises(RunFailure) as caught:
        split_files(card, PATHS, "3.0.0", "validation")
    assert caught.value.code is FailureCode.DATASET_INVALID
    assert str(card) in caught.value.message
    assert "\n" not in caught.value.message
