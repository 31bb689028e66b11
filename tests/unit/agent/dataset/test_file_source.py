"""MLPerf's cnn_eval.json: a good one, and all the ways in which one can be wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import PROMPT_TEMPLATE, Suite
from loadfleet_agent.contract.dataset import DatasetFile
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.articles import write_articles
from loadfleet_agent.dataset.file_source import find_file
from loadfleet_agent.dataset.source import NotThere, Samples, Wanted
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer

Entry = dict[str, Any]


@pytest.fixture
def entries(tokenizer: ModelTokenizer) -> list[Entry]:
    """What MLPerf's preparation makes of twelve articles."""
    articles = write_articles([40 + 5 * index for index in range(12)], seed=5)
    prompts = tokenizer.encode([PROMPT_TEMPLATE.format(input=item.text) for item in articles])
    return [
        {
            "instruction": PROMPT_TEMPLATE,
            "input": article.text,
            "tok_input": prompt,
            "output": article.highlights,
        }
        for article, prompt in zip(articles, prompts, strict=True)
    ]


def _read(
    path: Path,
    tokenizer: ModelTokenizer,
    samples: int = 12,
    *,
    suite: Suite = Suite.DATACENTER,
    official: bool = False,
    **source: Any,
) -> Samples:
    wanted = Wanted(suite, samples, official)
    return find_file(DatasetFile(path=str(path), **source), wanted).read(tokenizer)


@pytest.fixture
def file(tmp_path: Path, entries: list[Entry]) -> Path:
    path = tmp_path / "cnn_eval.json"
    path.write_text(json.dumps(entries))
    return path


def test_gives_the_files_own_token_ids_and_references_in_order(
    file: Path, entries: list[Entry], tokenizer: ModelTokenizer
) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    samples = _read(file, tokenizer, sha256=sha256)
    assert samples.prompts == [entry["tok_input"] for entry in entries]
    assert samples.references == [entry["output"] for entry in entries]
    assert samples.origin == f"cnn_eval.json sha256:{sha256}"


def test_gives_the_first_samples_if_fewer_are_wanted(
    file: Path, entries: list[Entry], tokenizer: ModelTokenizer
) -> None:
    samples = _read(file, tokenizer, 3)
    assert samples.prompts == [entry["tok_input"] for entry in entries[:3]]


def _refusal(path: Path, tokenizer: ModelTokenizer, **source: Any) -> RunFailure:
    with pytest.raises(RunFailure) as caught:
        _read(path, tokenizer, **source)
    assert str(path) in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", ["none.json", "none/none.json", "cnn_eval.json/none.json"])
def test_a_missing_file_is_not_there(file: Path, tokenizer: ModelTokenizer, name: str) -> None:
    path = file.parent / name
    with pytest.raises(NotThere, match=str(path)):
        _read(path, tokenizer)


def test_a_folder_is_refused(tmp_path: Path, tokenizer: ModelTokenizer) -> None:
    assert _refusal(tmp_path, tokenizer).code is FailureCode.DATASET_MISSING


def test_a_file_of_another_hash_is_refused(file: Path, tokenizer: ModelTokenizer) -> None:
    failure = _refusal(file, tokenizer, sha256="0" * 64)
    assert failure.code is FailureCode.DATASET_INVALID
    assert hashlib.sha256(file.read_bytes()).hexdigest() in failure.message


@pytest.mark.parametrize("content", [b"", b"[{", b"\xff\xfe", b"input,output\n"])
def test_a_file_that_is_not_json_is_refused(
    file: Path, tokenizer: ModelTokenizer, content: bytes
) -> None:
    file.write_bytes(content)
    failure = _refusal(file, tokenizer)
    assert failure.code is FailureCode.DATASET_INVALID
    assert "not JSON" in failure.message


def _drop(key: str) -> Callable[[list[Entry]], object]:
    def change(entries: list[Entry]) -> object:
        del entries[4][key]
        return entries

    return change


def _set(key: str, value: object) -> Callable[[list[Entry]], object]:
    def change(entries: list[Entry]) -> object:
        entries[4][key] = value
        return entries

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries[:11], "11 samples, 12 are needed"),
        (lambda entries: {"samples": entries}, "no list"),
        (_drop("input"), "sample 4 has no 'input'"),
        (_drop("tok_input"), "sample 4 has no 'tok_input'"),
        (_drop("output"), "sample 4 has no 'output'"),
        (lambda entries: [*entries[:4], "text", *entries[5:]], "sample 4"),
        (lambda entries: [*entries[:4], None, *entries[5:]], "sample 4"),
        (_set("tok_input", []), "sample 4"),
        (_set("tok_input", "1 2 3"), "sample 4"),
        (_set("tok_input", [1, 2.5]), "sample 4"),
        (_set("tok_input", [1, -2]), "sample 4"),
        (_set("tok_input", [True]), "sample 4"),
        (_set("output", None), "sample 4"),
        (_set("input", ["text"]), "sample 4"),
    ],
)
def test_a_malformed_file_is_refused_with_the_sample(
    file: Path,
    entries: list[Entry],
    tokenizer: ModelTokenizer,
    change: Callable[[list[Entry]], object],
    words: str,
) -> None:
    file.write_text(json.dumps(change(entries)))
    failure = _refusal(file, tokenizer)
    assert failure.code is FailureCode.DATASET_INVALID
    assert words in failure.message


@pytest.mark.parametrize(
    ("suite", "found"),
    [(Suite.DATACENTER, 13_367), (Suite.DATACENTER, 13_369), (Suite.EDGE, 13_368)],
)
def test_an_official_run_takes_a_file_of_just_the_suites_samples(
    file: Path, entries: list[Entry], tokenizer: ModelTokenizer, suite: Suite, found: int
) -> None:
    """The first 5,000 samples of cnn_eval.json are not those of the edge suite."""
    right = {Suite.DATACENTER: 13_368, Suite.EDGE: 5_000}[suite]
    file.write_text(json.dumps(entries[:1] * found))
    failure = _refusal(file, tokenizer, samples=right, suite=suite, official=True)
    assert failure.code is FailureCode.DATASET_INVALID
    assert f"{found} samples, MLPerf's {suite} suite has {right}" in failure.message
    file.write_text(json.dumps(entries[:1] * right))
    assert len(_read(file, tokenizer, right, suite=suite, official=True).prompts) == right


def test_a_file_of_another_tokenizer_is_refused(
    file: Path, entries: list[Entry], tokenizer: ModelTokenizer
) -> None:
    """Such as one without BOS, or whose ids are shifted."""
    for change in (lambda ids: ids[1:], lambda ids: [item + 1 for item in ids]):
        file.write_text(
            json.dumps([entry | {"tok_input": change(entry["tok_input"])} for entry in entries])
        )
        failure = _refusal(file, tokenizer)
        assert failure.code is FailureCode.DATASET_INVALID
        assert "tokenizer" in failure.message
