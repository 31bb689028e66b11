"""MLPerf's file with the record of its origin, as a run uses it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import PROMPT_TEMPLATE, Suite
from loadfleet_agent.contract.dataset import MlcommonsDataset
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.articles import write_articles
from loadfleet_agent.dataset.fetch.mlcommons import fetch_mlcommons
from loadfleet_agent.dataset.mlcommons import datasets_folder, find_mlcommons
from loadfleet_agent.dataset.origin import mlcommons_record
from loadfleet_agent.dataset.source import Found, NotThere, Wanted
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer
from mlcommons_server import FOLDER, MlcommonsServer

SHORT = Wanted(Suite.DATACENTER, 8, False)


@pytest.fixture
def entries(tokenizer: ModelTokenizer) -> list[dict[str, Any]]:
    articles = write_articles([20 + 5 * index for index in range(8)], seed=5)
    prompts = tokenizer.encode([PROMPT_TEMPLATE.format(input=item.text) for item in articles])
    return [
        {"input": article.text, "tok_input": prompt, "output": article.highlights}
        for article, prompt in zip(articles, prompts, strict=True)
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def fetched(home: Path, entries: list[dict[str, Any]]) -> Path:
    """The datacenter suite's file as fetching leaves it, in the default folder."""
    return _fetch(datasets_folder(home), Suite.DATACENTER, entries)


def _fetch(folder: Path, suite: Suite, entries: list[dict[str, Any]]) -> Path:
    content = json.dumps(entries).encode()
    files = {
        "llama3-1-8b-cnn-eval": ("cnn_eval.json", content),
        "llama3-1-8b-sample-cnn-eval-5000": ("sample_cnn_eval_5000.json", content),
    }
    with MlcommonsServer(files) as server:
        done = fetch_mlcommons(suite, folder, base_url=server.metadata, tell=lambda _: None)
    return Path(done.path)


def _find(home: Path, wanted: Wanted = SHORT, **source: Any) -> Found:
    return find_mlcommons(MlcommonsDataset(**source), wanted, home)


def test_the_files_own_samples_are_used_and_their_origin_told(
    fetched: Path, home: Path, entries: list[dict[str, Any]], tokenizer: ModelTokenizer
) -> None:
    samples = _find(home).read(tokenizer)
    assert samples.prompts == [entry["tok_input"] for entry in entries]
    assert samples.references == [entry["output"] for entry in entries]
    content = fetched.read_bytes()
    sha256, md5 = hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    assert samples.origin.startswith(f"cnn_eval.json sha256:{sha256} md5:{md5} from http://")
    assert samples.origin.endswith(f"{FOLDER}/cnn_eval.json")


def test_each_suite_has_a_file_of_its_own(
    fetched: Path, home: Path, entries: list[dict[str, Any]], tokenizer: ModelTokenizer
) -> None:
    edge = Wanted(Suite.EDGE, 4, False)
    with pytest.raises(NotThere, match=r"sample_cnn_eval_5000\.json"):
        _find(home, edge)
    _fetch(fetched.parent, Suite.EDGE, entries[::-1])
    assert _find(home, edge).read(tokenizer).references == [
        entry["output"] for entry in entries[::-1][:4]
    ]


def test_the_folder_may_be_another(
    tmp_path: Path, home: Path, entries: list[dict[str, Any]], tokenizer: ModelTokenizer
) -> None:
    path = _fetch(tmp_path / "shared", Suite.DATACENTER, entries)
    assert len(_find(home, folder=str(path.parent)).read(tokenizer).prompts) == 8
    with pytest.raises(NotThere, match=str(home)):
        _find(home)


def test_a_file_whose_hash_is_not_the_recorded_one_is_refused(
    fetched: Path, home: Path, entries: list[dict[str, Any]], tokenizer: ModelTokenizer
) -> None:
    fetched.write_text(json.dumps(entries[::-1]))
    with pytest.raises(RunFailure, match="sha256") as caught:
        _find(home).read(tokenizer)
    assert caught.value.code is FailureCode.DATASET_INVALID
    assert str(fetched) in caught.value.message


def test_a_record_with_another_hash_is_refused(
    fetched: Path, home: Path, tokenizer: ModelTokenizer
) -> None:
    record = mlcommons_record(fetched)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))
    with pytest.raises(RunFailure, match=f"wanted {'0' * 64}") as caught:
        _find(home).read(tokenizer)
    assert caught.value.code is FailureCode.DATASET_INVALID


@pytest.mark.parametrize(
    "change",
    [None, "", "{}", {"file": "other.json"}, {"source": "file"}, {"sha256": "0"}, {"md5": "0"}],
    ids=str,
)
def test_a_file_without_a_record_of_it_is_refused(
    fetched: Path, home: Path, change: dict[str, str] | str | None
) -> None:
    record = mlcommons_record(fetched)
    if change is None:
        record.unlink()
    elif isinstance(change, str):
        record.write_text(change)
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(RunFailure, match=r"cnn_eval\.json\.origin\.json") as caught:
        _find(home)
    assert caught.value.code is FailureCode.DATASET_INVALID


def test_a_record_without_its_file_is_not_there(fetched: Path, home: Path) -> None:
    fetched.unlink()
    with pytest.raises(NotThere, match=str(fetched)):
        _find(home)


@pytest.mark.usefixtures("fetched")
def test_an_official_run_takes_just_the_suites_samples(
    home: Path, tokenizer: ModelTokenizer
) -> None:
    wanted = Wanted(Suite.DATACENTER, 13_368, True)
    with pytest.raises(RunFailure, match="8 samples, MLPerf's datacenter suite has 13368"):
        _find(home, wanted).read(tokenizer)


def test_it_is_stored_apart_by_file_and_record(fetched: Path, home: Path) -> None:
    before = _find(home).identity
    assert _find(home).identity == before
    record = mlcommons_record(fetched)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))
    other = _find(home).identity
    fetched.write_text("[]")
    assert len({before, other, _find(home).identity}) == 3
