"""The chain of sources in a run: the first that is there, and nothing taken in silence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import PROMPT_TEMPLATE, Suite
from loadfleet_agent.contract.dataset import RebuiltDataset
from loadfleet_agent.contract.labels import result_labels
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.fetch.mlcommons import fetch_mlcommons
from loadfleet_agent.dataset.library import SampleLibrary, build_library
from loadfleet_agent.dataset.mlcommons import datasets_folder
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer
from mlcommons_server import MlcommonsServer

from ..helpers import make_plan
from .hub_dataset import make_card, make_rows, write_card, write_hub_dataset

SAMPLES = 8


class Host:
    """A host's data folder and what is put on it."""

    def __init__(self, root: Path, model: ModelFacts, tokenizer: ModelTokenizer) -> None:
        self.root, self.home = root, root / "home"
        self._model, self._tokenizer = model, tokenizer
        self.file = root / "local.json"
        self.hub = root / "hub"

    @property
    def chain(self) -> list[dict[str, Any]]:
        return [
            {"source": "mlcommons"},
            {"source": "file", "path": str(self.file)},
            {"source": "rebuilt", "path": str(self.hub)},
            {"source": "synthetic"},
        ]

    def plan(self, chain: object, **changes: Any) -> RunPlan:
        engine = {"max_model_len": 1024}
        length = {"samples": SAMPLES}
        return make_plan(dataset=chain, **({"length": length, "engine": engine} | changes))

    def build(self, chain: object, **changes: Any) -> SampleLibrary:
        return build_library(self.plan(chain, **changes), self._model, self.home)

    def refusal(self, chain: object) -> RunFailure:
        with pytest.raises(RunFailure) as caught:
            self.build(chain)
        assert "\n" not in caught.value.message
        return caught.value

    def put_mlcommons(self, seed: int = 1) -> Path:
        content = json.dumps(self._entries(seed)).encode()
        with MlcommonsServer({"llama3-1-8b-cnn-eval": ("cnn_eval.json", content)}) as server:
            done = fetch_mlcommons(
                Suite.DATACENTER,
                datasets_folder(self.home),
                base_url=server.metadata,
                tell=lambda _: None,
            )
        return Path(done.path)

    def put_file(self, seed: int = 2) -> Path:
        self.file.write_text(json.dumps(self._entries(seed)))
        return self.file

    def put_hub(self, seed: int = 3) -> Path:
        return write_hub_dataset(self.hub, make_rows(20, seed))

    def _entries(self, seed: int) -> list[dict[str, Any]]:
        rows = make_rows(20, seed)
        texts = [PROMPT_TEMPLATE.format(input=row["article"]) for row in rows]
        return [
            {"input": row["article"], "tok_input": ids, "output": row["highlights"]}
            for row, ids in zip(rows, self._tokenizer.encode(texts), strict=True)
        ]


@pytest.fixture
def host(tmp_path: Path, tiny_model: ModelFacts, tokenizer: ModelTokenizer) -> Host:
    return Host(tmp_path, tiny_model, tokenizer)


def _highlights(seed: int) -> list[str]:
    return [row["highlights"] for row in make_rows(20, seed)[:SAMPLES]]


def test_the_first_that_is_there_is_used_and_those_before_it_are_named(host: Host) -> None:
    """From the last to the first: each that is put there is preferred to those behind it."""
    missing = {
        "mlcommons": str(datasets_folder(host.home) / "cnn_eval.json"),
        "file": str(host.file),
        "rebuilt": str(host.hub),
    }
    steps: list[tuple[Callable[[], object], str, str, int | None]] = [
        (lambda: None, "synthetic", "synthetic", None),
        (host.put_hub, "rebuilt", "rebuilt", 3),
        (host.put_file, "file", "mlperf-dataset", 2),
        (host.put_mlcommons, "mlcommons", "mlperf-dataset", 1),
    ]
    for put, source, label, seed in steps:
        put()
        library = host.build(host.chain)
        facts = library.facts
        assert (facts.source, facts.label) == (source, label)
        assert [item.source for item in facts.skipped] == [
            item["source"] for item in host.chain[: len(facts.skipped)]
        ]
        assert len(facts.skipped) == [item["source"] for item in host.chain].index(source)
        for item in facts.skipped:
            assert item.reason == f"{missing[item.source]}: No such file or directory"
        if seed is not None:
            assert library.references == _highlights(seed)
        assert facts.samples == SAMPLES


def test_a_result_is_labelled_by_what_was_really_used(host: Host) -> None:
    plan = host.plan(host.chain)
    assert "synthetic-dataset" not in plan.labels
    assert result_labels(plan, None) == plan.labels
    wanted = [
        (lambda: None, "synthetic-dataset"),
        (host.put_hub, "rebuilt-dataset"),
        (host.put_file, None),
    ]
    for put, label in wanted:
        put()
        found = result_labels(plan, host.build(host.chain).facts)
        assert {item for item in found if item.endswith("-dataset")} == ({label} - {None})
        assert set(found) - {label} == set(plan.labels)


def test_none_that_is_there_is_told_with_all_of_them(host: Host) -> None:
    chain = [*host.chain[:3], {"source": "rebuilt"}]
    error = host.refusal(chain)
    assert error.code is FailureCode.DATASET_MISSING
    parts = error.message.split("; ")
    assert [part.partition(": ")[0] for part in parts] == [
        "mlcommons",
        "file",
        "rebuilt",
        "rebuilt",
    ]
    assert str(host.file) in parts[1]
    assert parts[3].endswith(f"{RebuiltDataset().revision}: not fetched")


def test_a_source_alone_is_a_chain_of_one(host: Host) -> None:
    host.put_file()
    alone = {"source": "file", "path": str(host.file)}
    assert host.plan(alone) == host.plan([alone])
    assert host.build(alone).facts.skipped == ()


def _spoil_hash(host: Host) -> None:
    path = host.put_mlcommons()
    path.write_bytes(path.read_bytes() + b"\n")


def _spoil_record(host: Host) -> None:
    path = host.put_mlcommons()
    path.with_name("cnn_eval.json.origin.json").unlink()


def _spoil_tokens(host: Host) -> None:
    entries = json.loads(host.put_file().read_text())
    host.file.write_text(json.dumps([e | {"tok_input": e["tok_input"][1:]} for e in entries]))


def _spoil_json(host: Host) -> None:
    host.put_file()
    host.file.write_text(host.file.read_text()[:-2])


def _make_folder(host: Host) -> None:
    host.file.mkdir()


def _spoil_card(host: Host) -> None:
    write_card(host.put_hub(), make_card(21))


def _spoil_parquet(host: Host) -> None:
    (path,) = (host.put_hub() / "3.0.0").iterdir()
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_spoil_hash, "sha256"),
        (_spoil_record, "origin.json"),
        (_spoil_tokens, "tokenizer"),
        (_spoil_json, "not JSON"),
        (_make_folder, "local.json"),
        (_spoil_card, "its card says 21"),
        (_spoil_parquet, "datasets cannot load it"),
    ],
)
def test_a_source_that_is_there_but_wrong_ends_the_run(
    host: Host, spoil: Callable[[Host], None], words: str
) -> None:
    """With synthetic samples behind it, and the sources before it absent."""
    spoil(host)
    error = host.refusal(host.chain)
    assert words in error.message
    assert error.code in (FailureCode.DATASET_INVALID, FailureCode.DATASET_MISSING)
    assert host.build(host.chain[3:]).facts.source == "synthetic"


def test_what_was_passed_over_is_not_stored_with_the_samples(host: Host) -> None:
    host.put_file()
    skipping = host.build(host.chain[:2])
    alone = host.build(host.chain[1:2])
    assert [item.source for item in skipping.facts.skipped] == ["mlcommons"]
    assert alone.facts == skipping.facts.model_copy(update={"skipped": ()})
    assert host.build(host.chain[:2]) == skipping
    assert len(list((host.home / "cache" / "datasets").glob("*.parquet"))) == 1


def test_each_suite_and_length_is_stored_apart(host: Host) -> None:
    host.put_hub()
    chain = host.chain[2:3]
    edge = {"suite": "edge", "scenarios": ["Offline"]}
    one, other = host.build(chain), host.build(chain, **edge)
    assert one.references != other.references
    assert host.build(chain) == one
    with pytest.raises(RunFailure, match="20 rows, MLPerf takes 13368"):
        host.build(chain, length="official")


def test_rebuilding_without_datasets_says_what_is_missing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.put_hub()
    monkeypatch.setitem(sys.modules, "datasets", None)
    error = host.refusal(host.chain)
    assert (error.code, "datasets" in error.message) == (FailureCode.PACKAGE_MISSING, True)
    monkeypatch.undo()
    first = host.build(host.chain)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert host.build(host.chain) == first
