"""MMLU on a host: found, made, refused, identified."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.evaluation import (
    MADE_QUESTIONS,
    MMLU_QUESTIONS,
    MMLU_REPO,
    MMLU_SUBJECTS,
    HubMmlu,
    MmluFolder,
    SyntheticMmlu,
)
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.fetch.hub import fetch_mmlu
from loadfleet_agent.evaluation.data import MmluPlace, find_mmlu, questions_sha256
from loadfleet_agent.evaluation.made_questions import TEST_QUESTIONS, make_questions
from loadfleet_agent.failure import RunFailure

from ..dataset.hub_dataset import DatasetMirror


@pytest.fixture
def mirror(made: MmluPlace, tmp_path: Path) -> Iterator[DatasetMirror]:
    """A hub that has made-up questions under MMLU's name."""
    folder = tmp_path / "hub" / MMLU_REPO
    shutil.copytree(made.folder, folder)
    (folder / "data.tar").write_bytes(b"not wanted")
    with DatasetMirror(tmp_path / "hub") as served:
        yield served


def test_made_questions_are_sums_with_one_right_answer(made: MmluPlace) -> None:
    for subject in MMLU_SUBJECTS:
        for split, count in MADE_QUESTIONS.items():
            rows = pq.read_table(
                made.folder / subject / f"{split}-00000-of-00001.parquet"
            ).to_pylist()
            assert len(rows) == count
            for row in rows:
                total = sum(map(int, re.findall(r"\d+", row["question"])))
                assert row["choices"].count(str(total)) == 1
                assert row["choices"].index(str(total)) == row["answer"]
                assert len(set(row["choices"])) == 4


def test_a_seed_makes_the_same_questions_anywhere(made: MmluPlace, tmp_path: Path) -> None:
    make_questions(tmp_path / "again", SyntheticMmlu())
    make_questions(tmp_path / "other", SyntheticMmlu(seed=1))
    name = "virology/test-00000-of-00001.parquet"
    assert pq.read_table(tmp_path / "again" / name) == pq.read_table(made.folder / name)
    assert pq.read_table(tmp_path / "other" / name) != pq.read_table(made.folder / name)


def test_the_full_size_has_as_many_questions_of_each_subject_as_mmlu(
    made: MmluPlace, tmp_path: Path
) -> None:
    assert list(TEST_QUESTIONS) == list(MMLU_SUBJECTS)
    assert sum(TEST_QUESTIONS.values()) == MMLU_QUESTIONS["test"]
    full = find_mmlu(SyntheticMmlu(size="full"), tmp_path)
    name = "anatomy/test-00000-of-00001.parquet"
    rows = pq.read_table(full.folder / name)
    assert rows.num_rows == 135
    assert rows.slice(0, MADE_QUESTIONS["test"]) == pq.read_table(made.folder / name)


def test_questions_of_the_hub_are_brought_and_found(mirror: DatasetMirror, tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = HubMmlu(revision=mirror.commit(MMLU_REPO))
    found = fetch_mmlu(source, home / "cache" / "hub", endpoint=mirror.url, tell=lambda _: None)
    assert (found.how, found.files) == ("downloaded", 1 + 3 * 57)
    place = find_mmlu(source, home)
    assert (place.source, place.label) == ("hub", MMLU_REPO)
    assert place.origin == f"{MMLU_REPO} at {source.revision}"
    again = fetch_mmlu(source, home / "cache" / "hub", endpoint=mirror.url, tell=lambda _: None)
    assert again.how == "present"


def test_a_fetched_file_that_has_changed_is_refused(mirror: DatasetMirror, tmp_path: Path) -> None:
    source = HubMmlu(revision=mirror.commit(MMLU_REPO))
    cache = tmp_path / "home" / "cache" / "hub"
    found = fetch_mmlu(source, cache, endpoint=mirror.url, tell=lambda _: None)
    path = Path(found.path) / "virology" / "test-00000-of-00001.parquet"
    path.resolve().write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(RunFailure, match="virology.*fetched was") as raised:
        find_mmlu(source, tmp_path / "home")
    assert raised.value.code is FailureCode.EVALUATION_DATA


@pytest.mark.parametrize("source", [HubMmlu(), MmluFolder(path="/not/there")])
def test_what_is_not_there_is_told_in_one_line(
    source: HubMmlu | MmluFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "usual"))
    with pytest.raises(RunFailure) as raised:
        find_mmlu(source, tmp_path)
    assert raised.value.code is FailureCode.EVALUATION_DATA
    assert "\n" not in raised.value.message
    assert ("/not/there" if source.source == "path" else str(tmp_path)) in raised.value.message


def test_a_copy_in_the_hub_s_format_is_as_good(made: MmluPlace, tmp_path: Path) -> None:
    place = find_mmlu(MmluFolder(path=str(made.folder)), tmp_path)
    assert place.folder == made.folder
    assert place.source == "path"


def test_the_hash_is_of_questions_choices_and_answers() -> None:
    row = {"question": "1 + 1?", "choices": ["2", "3", "4", "5"], "answer": 0}
    first = questions_sha256({"virology": [row]})
    assert questions_sha256({"virology": [dict(row)]}) == first
    for change in ({"question": "1 + 2?"}, {"choices": ["2", "3", "5", "4"]}, {"answer": 1}):
        assert questions_sha256({"virology": [row | change]}) != first
    assert questions_sha256({"anatomy": [row]}) != first


def test_synthetic_questions_are_made_once(tmp_path: Path) -> None:
    place = find_mmlu(SyntheticMmlu(seed=3), tmp_path)
    before = (place.folder / "README.md").stat().st_ino
    assert find_mmlu(SyntheticMmlu(seed=3), tmp_path) == place
    assert (place.folder / "README.md").stat().st_ino == before
