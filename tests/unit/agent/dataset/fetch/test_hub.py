"""A split of a dataset from the hub: fetched, resumed, verified, recorded, refused."""

from __future__ import annotations

import dataclasses
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from loadfleet_agent import http
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_agent.contract.dataset import RebuiltDataset
from loadfleet_agent.contract.run_folder import file_sha256
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.fetch.hub import dataset_commit, fetch_hub
from loadfleet_agent.dataset.origin import FetchedDataset, dataset_repository, read_hub_record
from loadfleet_agent.dataset.rebuilt import find_rebuilt
from loadfleet_agent.dataset.source import NotThere, Wanted
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer
from waiting import wait_until

from ...helpers import snapshot
from ..hub_dataset import (
    DatasetMirror,
    make_card,
    make_rows,
    write_card,
    write_hub_dataset,
    write_parquet,
)

REPO = "abisee/cnn_dailymail"
CARD = "README.md"
SPLIT = "3.0.0/validation-00000-of-00002.parquet", "3.0.0/validation-00001-of-00002.parquet"
TOKEN = "hf_theTokenOfOneWhoHasAccess"
WANTED = Wanted(Suite.DATACENTER, 40, False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The dataset with splits and files that no run needs."""
    folder = write_hub_dataset(tmp_path / "hub" / REPO, make_rows(40), shards=2)
    for config, split in (("1.0.0", "validation"), ("3.0.0", "train"), ("3.0.0", "test")):
        write_parquet(folder / config / f"{split}-00000-of-00001.parquet", make_rows(8))
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    return folder


@pytest.fixture
def mirror(repository: Path) -> Iterator[DatasetMirror]:
    with DatasetMirror(repository.parents[1]) as served:
        yield served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _source(mirror: DatasetMirror, **changes: Any) -> RebuiltDataset:
    return RebuiltDataset(**({"revision": mirror.commit(REPO)} | changes))


def _fetch(mirror: DatasetMirror, home: Path, **changes: Any) -> FetchedDataset:
    token = changes.pop("token", None)
    source = _source(mirror, **changes)
    cache = home / "cache" / "hub"
    return fetch_hub(source, cache, endpoint=mirror.url, token=token, tell=lambda _: None)


def _failure(mirror: DatasetMirror, home: Path, **changes: Any) -> RunFailure:
    with pytest.raises(RunFailure) as caught:
        _fetch(mirror, home, **changes)
    assert "\n" not in caught.value.message
    return caught.value


def _here(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# Fetched.


def test_the_card_and_the_split_are_brought_and_nothing_else(
    mirror: DatasetMirror, repository: Path, home: Path
) -> None:
    found = _fetch(mirror, home)
    assert _here(Path(found.path)) == {
        name: (repository / name).read_bytes() for name in (CARD, *SPLIT)
    }
    assert (found.how, found.source, found.files) == ("downloaded", "hub", 3)
    assert found.bytes == sum((repository / name).stat().st_size for name in (CARD, *SPLIT))
    assert mirror.commit(REPO) in found.origin
    names = {
        request.path.rpartition("resolve/")[2].partition("/")[2] for request in mirror.requests
    }
    assert {name for name in names if name.endswith((".parquet", ".md"))} == {CARD, *SPLIT}


def test_the_record_names_every_file_with_its_hash(
    mirror: DatasetMirror, repository: Path, home: Path
) -> None:
    _fetch(mirror, home)
    cache = dataset_repository(home / "cache" / "hub", REPO)
    record = read_hub_record(cache, REPO, mirror.commit(REPO))
    assert record is not None
    assert (record.repo, record.endpoint) == (REPO, mirror.url)
    assert {item.path: (item.size_bytes, item.sha256) for item in record.files} == {
        name: ((repository / name).stat().st_size, file_sha256(repository / name))
        for name in (CARD, *SPLIT)
    }


def test_the_cache_is_one_that_huggingface_hub_reads(mirror: DatasetMirror, home: Path) -> None:
    found = _fetch(mirror, home)
    read = snapshot_download(
        REPO,
        repo_type="dataset",
        revision=mirror.commit(REPO),
        cache_dir=home / "cache" / "hub",
        local_files_only=True,
    )
    assert read == found.path


def test_a_fetched_dataset_is_rebuilt_without_the_hub(
    mirror: DatasetMirror, repository: Path, home: Path, tokenizer: ModelTokenizer
) -> None:
    source = _source(mirror)
    with pytest.raises(NotThere, match="not fetched"):
        find_rebuilt(source, WANTED, home, home / "scratch")
    _fetch(mirror, home)
    mirror.__exit__()
    built = find_rebuilt(source, WANTED, home, home / "scratch").read(tokenizer)
    by_folder = RebuiltDataset(path=str(repository))
    same = find_rebuilt(by_folder, WANTED, home, home / "scratch").read(tokenizer)
    assert (built.prompts, built.references) == (same.prompts, same.references)
    assert built.references == [row["highlights"] for row in make_rows(40)]
    assert built.origin.startswith(f"{REPO} at {source.revision}, 3.0.0 validation, ")


def test_a_dataset_that_is_here_is_not_asked_for(mirror: DatasetMirror, home: Path) -> None:
    first = _fetch(mirror, home)
    before, asked = snapshot(home), len(mirror.requests)
    assert _fetch(mirror, home) == first.model_copy(update={"how": "present"})
    assert snapshot(home) == before
    assert len(mirror.requests) == asked


def test_only_what_is_missing_is_fetched(mirror: DatasetMirror, home: Path) -> None:
    found = _fetch(mirror, home)
    sent = {name: mirror.sent(name) for name in (CARD, *SPLIT)}
    (Path(found.path) / SPLIT[1]).resolve().unlink()
    assert _fetch(mirror, home) == found
    grown = {name for name in sent if mirror.sent(name) > sent[name]}
    assert grown == {SPLIT[1]}


def test_another_split_is_added(mirror: DatasetMirror, home: Path) -> None:
    _fetch(mirror, home, config="1.0.0")
    found = _fetch(mirror, home)
    other = "1.0.0/validation-00000-of-00001.parquet"
    assert found.how == "downloaded"
    assert set(_here(Path(found.path))) == {CARD, *SPLIT, other}
    for config in ("1.0.0", "3.0.0"):
        assert _fetch(mirror, home, config=config).how == "present"


def test_a_connection_that_is_cut_is_taken_up_again(
    mirror: DatasetMirror, repository: Path, home: Path
) -> None:
    noise = random.Random(0).randbytes(12 << 20).hex()
    size = len(noise) // 40
    rows = [
        {"article": noise[i * size : (i + 1) * size], "highlights": str(i), "id": str(i)}
        for i in range(40)
    ]
    write_parquet(repository / SPLIT[0], rows)
    whole = (repository / SPLIT[0]).stat().st_size
    assert whole > 12 << 20
    mirror.hold_at = 11 << 20
    found: list[FetchedDataset] = []
    thread = threading.Thread(target=lambda: found.append(_fetch(mirror, home)))
    thread.start()
    blobs = dataset_repository(home / "cache" / "hub", REPO) / "blobs"
    wait_until(
        lambda: any(path.stat().st_size >= 10 << 20 for path in blobs.glob("*.incomplete")),
        "10 MiB written",
    )
    mirror.cut()
    mirror.hold_at = None
    thread.join()
    assert (Path(found[0].path) / SPLIT[0]).read_bytes() == (repository / SPLIT[0]).read_bytes()
    assert mirror.sent(SPLIT[0]) < 1.9 * whole


def test_a_token_opens_a_gated_dataset(repository: Path, home: Path) -> None:
    with DatasetMirror(repository.parents[1], token=TOKEN) as gated:
        for token in (None, "hf_wrong"):
            error = _failure(gated, home, token=token)
            assert error.code is FailureCode.HUB_ACCESS
            assert token is None or token not in error.message
        assert _fetch(gated, home, token=TOKEN).how == "downloaded"


# Refused.


@pytest.mark.parametrize("name", [CARD, *SPLIT])
def test_bytes_that_differ_from_the_hash_are_refused_and_removed(
    mirror: DatasetMirror, home: Path, name: str
) -> None:
    mirror.corrupt = {name}
    error = _failure(mirror, home)
    assert error.code is FailureCode.DATASET_INVALID
    assert Path(name).name in error.message
    cache = dataset_repository(home / "cache" / "hub", REPO)
    assert read_hub_record(cache, REPO, mirror.commit(REPO)) is None
    with pytest.raises(NotThere):
        find_rebuilt(_source(mirror), WANTED, home, home)
    mirror.corrupt = set()
    assert _fetch(mirror, home).how == "downloaded"


def test_a_file_that_was_changed_since_is_not_used(
    mirror: DatasetMirror, home: Path, tokenizer: ModelTokenizer
) -> None:
    found = _fetch(mirror, home)
    write_parquet((Path(found.path) / SPLIT[0]).resolve(), make_rows(20, seed=9))
    with pytest.raises(RunFailure, match="fetched was") as caught:
        find_rebuilt(_source(mirror), WANTED, home, home / "scratch").read(tokenizer)
    assert caught.value.code is FailureCode.DATASET_INVALID


def test_a_folder_that_is_gone_is_not_there(mirror: DatasetMirror, home: Path) -> None:
    shutil.rmtree(_fetch(mirror, home).path)
    with pytest.raises(NotThere, match="not fetched"):
        find_rebuilt(_source(mirror), WANTED, home, home)


def test_what_the_hub_does_not_have_is_told(
    mirror: DatasetMirror, repository: Path, home: Path
) -> None:
    error = _failure(mirror, home, revision="1" * 40)
    assert (error.code, "1" * 40 in error.message) == (FailureCode.DATASET_MISSING, True)
    error = _failure(mirror, home, repo="nobody/nothing")
    assert (error.code, "nobody/nothing" in error.message) == (FailureCode.HUB_ACCESS, True)
    error = _failure(mirror, home, split="dev")
    assert (error.code, "its dev split of 3.0.0" in error.message) == (
        FailureCode.DATASET_INVALID,
        True,
    )
    (repository / CARD).unlink()
    error = _failure(mirror, home)
    assert (error.code, f"has no {CARD}" in error.message) == (FailureCode.DATASET_INVALID, True)


def test_a_branch_is_told_as_the_commit_that_it_is(mirror: DatasetMirror) -> None:
    assert dataset_commit(REPO, "main", endpoint=mirror.url) == mirror.commit(REPO)
    with pytest.raises(RunFailure) as caught:
        dataset_commit(REPO, "dev", endpoint=mirror.url)
    assert caught.value.code is FailureCode.DATASET_MISSING


def test_a_hub_that_is_not_there_is_told(
    mirror: DatasetMirror, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "RETRIES", 0)
    source = _source(mirror)
    mirror.__exit__()
    with pytest.raises(RunFailure) as caught:
        fetch_hub(source, home, endpoint=mirror.url, tell=lambda _: None)
    assert (caught.value.code, mirror.url in caught.value.message) == (
        FailureCode.HUB_UNREACHABLE,
        True,
    )


def test_a_folder_of_the_users_needs_no_fetching(mirror: DatasetMirror, home: Path) -> None:
    assert _failure(mirror, home, path="/data/cnn").code is FailureCode.BAD_PLAN
    assert not mirror.requests


def test_files_outside_of_the_cache_are_never_written(
    repository: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent fetches as root, and a mirror may be anyone's."""
    bad = ("../../a.parquet", "3.0.0/../../b.parquet", "/tmp/c.parquet", "3.0.0/.d.parquet")
    everything = {"split": "validation", "path": "*"}
    configs = [{"config_name": "3.0.0", "data_files": [everything]}]
    write_card(repository, make_card(40, dataset_info=[], configs=configs))
    with DatasetMirror(repository.parents[1]) as mirror:
        files = mirror.files(REPO)
        files += [dataclasses.replace(files[-1], path=name) for name in bad]
        monkeypatch.setattr(mirror, "files", lambda _: files)
        found = _fetch(mirror, home)
    good = {item.path for item in files} - {*bad, ".gitattributes"}
    assert set(_here(Path(found.path))) == good
    written = {path.name for path in home.parent.rglob("*.parquet") if path.is_symlink()}
    assert written == {Path(name).name for name in good} - {CARD}
