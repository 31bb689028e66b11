"""The sample library: stored once, checked when read, never truncated."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.benchmark import PROMPT_TEMPLATE
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.articles import write_articles
from loadfleet_agent.dataset.library import build_library, library_folder
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer

from ..helpers import make_plan


@pytest.fixture
def plan() -> RunPlan:
    return make_plan(profile="cpu-smoke")


@pytest.fixture
def file_plan(tmp_path: Path, tokenizer: ModelTokenizer) -> RunPlan:
    """A plan over a cnn_eval.json whose longest prompt is far longer than the others."""
    articles = write_articles([40, 40, 40, 320], seed=5)
    prompts = tokenizer.encode([PROMPT_TEMPLATE.format(input=item.text) for item in articles])
    path = tmp_path / "cnn_eval.json"
    path.write_text(
        json.dumps(
            [
                {"input": article.text, "tok_input": prompt, "output": article.highlights}
                for article, prompt in zip(articles, prompts, strict=True)
            ]
        )
    )
    return make_plan(
        profile="cpu-smoke",
        dataset={"source": "file", "path": str(path)},
        length={"samples": 4},
        engine={"max_model_len": 1024},
    )


def _stored(home: Path) -> Path:
    (path,) = library_folder(home).glob("*.parquet")
    return path


def test_says_what_the_samples_are(plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path) -> None:
    library = build_library(plan, tiny_model, tmp_path)
    expected = hashlib.sha256()
    for prompt, reference in zip(library.prompts, library.references, strict=True):
        expected.update(struct.pack(f"<I{len(prompt)}I", len(prompt), *prompt))
        expected.update(struct.pack("<I", len(reference.encode())) + reference.encode())
    assert library.facts.library_sha256 == expected.hexdigest()
    assert (library.facts.source, library.facts.label) == ("synthetic", "synthetic")
    assert library.facts.samples == len(library.prompts) == len(library.references) == 64
    lengths = sorted(map(len, library.prompts))
    assert library.facts.input_tokens.minimum == lengths[0]
    assert library.facts.input_tokens.maximum == lengths[-1] <= 512 - plan.generation.max_tokens
    assert library.facts.input_tokens.mean == pytest.approx(sum(lengths) / 64)


def test_a_file_is_labelled_as_mlperfs(
    file_plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    facts = build_library(file_plan, tiny_model, tmp_path).facts
    assert (facts.source, facts.label) == ("file", "mlperf-dataset")
    assert facts.origin.startswith("cnn_eval.json sha256:")


def test_a_second_build_reads_what_the_first_has_stored(
    plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    first = build_library(plan, tiny_model, tmp_path)
    before = _stored(tmp_path).stat()
    again = build_library(plan, tiny_model.model_copy(update={"path": "/nowhere"}), tmp_path)
    assert again == first
    after = _stored(tmp_path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_seed_count_room_or_tokenizer_is_stored_apart(
    plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    for other in (
        plan,
        make_plan(profile="cpu-smoke", dataset={"source": "synthetic", "seed": 1}),
        make_plan(profile="cpu-smoke", length={"samples": 32}),
        make_plan(profile="cpu-smoke", engine={"max_model_len": 400}),
    ):
        build_library(other, tiny_model, tmp_path)
    build_library(plan, tiny_model.model_copy(update={"tokenizer_sha256": "0" * 64}), tmp_path)
    assert len(list(library_folder(tmp_path).glob("*.parquet"))) == 5


def test_a_changed_file_is_read_again(
    file_plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = build_library(file_plan, tiny_model, home)
    path = tmp_path / "cnn_eval.json"
    entries = json.loads(path.read_text())
    entries[0]["output"] = "Another summary."
    path.write_text(json.dumps(entries))
    again = build_library(file_plan, tiny_model, home)
    assert again.references == ["Another summary.", *first.references[1:]]


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    ["empty", "cut", "text", *(f"byte at {percent} %" for percent in (0, 5, 20, 50, 80, 95, 99))],
)
def test_a_damaged_store_is_built_again(
    plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path, damage: str
) -> None:
    whole = build_library(plan, tiny_model, tmp_path)
    path = _stored(tmp_path)
    size = path.stat().st_size
    match damage.split():
        case ["empty"]:
            path.write_bytes(b"")
        case ["cut"]:
            os.truncate(path, size // 2)
        case ["text"]:
            path.write_text("no parquet at all")
        case _:
            _flip(path, size * int(damage.split()[2]) // 100)
    assert build_library(plan, tiny_model, tmp_path) == whole


def _rewrite(path: Path, column: str, values: list[object]) -> None:
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    field = table.schema.field(index)
    changed = table.set_column(index, field, pa.array(values, field.type))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


@pytest.mark.parametrize("column", ["prompt", "reference"])
def test_a_store_whose_content_is_not_what_it_says_is_built_again(
    plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path, column: str
) -> None:
    whole = build_library(plan, tiny_model, tmp_path)
    path = _stored(tmp_path)
    values = pq.read_table(path)[column].to_pylist()
    _rewrite(path, column, [values[1], values[0], *values[2:]])
    assert build_library(plan, tiny_model, tmp_path) == whole


def test_a_prompt_that_does_not_fit_is_refused_and_never_cut(
    file_plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    library = build_library(file_plan, tiny_model, tmp_path / "home")
    *short, longest = map(len, library.prompts)
    assert max(short) < longest

    def with_context(tokens: int) -> RunPlan:
        engine = file_plan.engine.model_copy(update={"max_model_len": tokens})
        return file_plan.model_copy(update={"engine": engine})

    exact = longest + file_plan.generation.max_tokens
    fitting = build_library(with_context(exact), tiny_model, tmp_path / "home")
    assert fitting.prompts == library.prompts
    for home in ("home", "empty home"):
        with pytest.raises(RunFailure) as caught:
            build_library(with_context(exact - 1), tiny_model, tmp_path / home)
        assert caught.value.code is FailureCode.PROMPT_TOO_LONG
        assert f"1 of 4 prompts have more than {longest - 1} tokens" in caught.value.message
        assert f"the longest {longest}" in caught.value.message
        assert "sample 3" in caught.value.message


def test_token_ids_outside_the_vocabulary_are_refused(
    file_plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    smaller = tiny_model.model_copy(update={"vocabulary": 256})
    with pytest.raises(RunFailure, match="vocabulary of 256") as caught:
        build_library(file_plan, smaller, tmp_path)
    assert caught.value.code is FailureCode.DATASET_INVALID


def test_a_missing_file_is_refused_though_its_samples_are_stored(
    file_plan: RunPlan, tiny_model: ModelFacts, tmp_path: Path
) -> None:
    build_library(file_plan, tiny_model, tmp_path / "home")
    (tmp_path / "cnn_eval.json").unlink()
    with pytest.raises(RunFailure) as caught:
        build_library(file_plan, tiny_model, tmp_path / "home")
    assert caught.value.code is FailureCode.DATASET_MISSING


def test_a_tokenizer_that_is_none_is_refused_and_leaves_no_half_library(
    plan: RunPlan, tiny_model: ModelFacts, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "tokenizer.json").write_text("{}")
    broken = tiny_model.model_copy(update={"path": str(folder)})
    with pytest.raises(RunFailure) as caught:
        build_library(plan, broken, tmp_path / "home")
    assert caught.value.code is FailureCode.MODEL_MISSING
    assert not list(library_folder(tmp_path / "home").rglob("*"))
