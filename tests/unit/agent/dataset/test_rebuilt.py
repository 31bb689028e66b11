"""Samples made anew from CNN/DailyMail: equal to the official way's, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_agent.contract.dataset import RebuiltDataset
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.file_source import read_samples
from loadfleet_agent.dataset.rebuilt import find_rebuilt
from loadfleet_agent.dataset.source import NotThere, Samples, Wanted
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model.tokenizer import ModelTokenizer, load_tokenizer

from .hub_dataset import Row, make_card, make_rows, write_card, write_hub_dataset, write_parquet

WHOLE, EDGE = 13_368, 5_000
OFFICIAL_TEXT = (
    "Summarize the following news article in 128 tokens. Please output the summary only, "
    "without any other text.\n\nArticle:\n{}\n\nSummary:"
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """As many as CNN/DailyMail's validation split has."""
    return make_rows(WHOLE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Path:
    return write_hub_dataset(tmp_path_factory.mktemp("hub") / "cnn_dailymail", rows)


OFFICIAL_ENCODER = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.model_max_length = 8000
print(json.dumps([list(tokenizer.encode(text)) for text in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def official_encode(tiny_folder: Path) -> Callable[[list[str]], list[list[int]]]:
    """transformers' own tokenizer, which MLPerf's script uses, on the articles of these prompts.

    In a process of its own: it imports torch, which does not start beside Ansible.
    """

    def encode(articles: list[str]) -> list[list[int]]:
        done = subprocess.run(
            [sys.executable, "-c", OFFICIAL_ENCODER, str(tiny_folder)],
            input=json.dumps([OFFICIAL_TEXT.format(article) for article in articles]),
            capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
        prompts: list[list[int]] = json.loads(done.stdout)
        return prompts

    return encode


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_hub_dataset(tmp_path / "small", make_rows(40))


def _build(
    folder: Path,
    tokenizer: ModelTokenizer,
    samples: int,
    *,
    suite: Suite = Suite.DATACENTER,
    official: bool = False,
    **source: Any,
) -> Samples:
    given = RebuiltDataset(path=str(folder), **source)
    scratch = folder.parent / "scratch"
    found = find_rebuilt(given, Wanted(suite, samples, official), folder.parent / "home", scratch)
    built = found.read(tokenizer)
    assert not list(scratch.iterdir())
    return built


def _refusal(folder: Path, tokenizer: ModelTokenizer, samples: int = 40, **more: Any) -> str:
    with pytest.raises(RunFailure) as caught:
        _build(folder, tokenizer, samples, **more)
    assert caught.value.code is FailureCode.DATASET_INVALID
    assert "\n" not in caught.value.message
    return caught.value.message


# Equal to the official way.


def test_the_datacenter_suite_is_every_row_in_its_order(
    whole: Path,
    rows: list[Row],
    tokenizer: ModelTokenizer,
    official_encode: Callable[[list[str]], list[list[int]]],
) -> None:
    built = _build(whole, tokenizer, WHOLE, official=True)
    assert built.prompts == official_encode([row["article"] for row in rows])
    assert built.references == [row["highlights"] for row in rows]
    assert built.origin.endswith(f"{WHOLE} of its {WHOLE} rows")


def test_the_edge_suite_is_the_first_of_them_shuffled_with_seed_42(
    whole: Path,
    rows: list[Row],
    tokenizer: ModelTokenizer,
    official_encode: Callable[[list[str]], list[list[int]]],
) -> None:
    built = _build(whole, tokenizer, EDGE, suite=Suite.EDGE, official=True)
    chosen = [rows[index] for index in np.random.default_rng(42).permutation(WHOLE)[:EDGE]]
    assert built.prompts == official_encode([row["article"] for row in chosen])
    assert built.references == [row["highlights"] for row in chosen]
    assert built.prompts != _build(whole, tokenizer, EDGE).prompts


def test_a_file_of_them_is_one_that_the_file_source_takes(
    small: Path, tokenizer: ModelTokenizer, tmp_path: Path
) -> None:
    """Written as MLPerf's script writes cnn_eval.json, it has the same structure."""
    built = _build(small, tokenizer, 40)
    entries = [
        {"input": row["article"], "tok_input": ids, "output": reference}
        for row, ids, reference in zip(make_rows(40), built.prompts, built.references, strict=True)
    ]
    path = tmp_path / "cnn_eval.json"
    path.write_text(json.dumps(entries, indent=4, ensure_ascii=False), encoding="utf-8")
    read = read_samples(path, None, Wanted(Suite.DATACENTER, 40, False), tokenizer)
    assert (read.prompts, read.references) == (built.prompts, built.references)


ODD = {
    "empty": "",
    "braces": "{input} and {0} and {{x}} %s",
    "unicode": "Zürich “quoted” 日本 🚀 \u00a0 end",
    "controls": "a\r\nb\tc\x00d  \n\n",
    "special tokens": "<|begin_of_text|> inside <|eot_id|>",
    "longer than 8,000 tokens": "word " * 9000,
}


def test_whatever_an_article_holds_it_is_encoded_whole(
    tmp_path: Path,
    tokenizer: ModelTokenizer,
    official_encode: Callable[[list[str]], list[list[int]]],
) -> None:
    rows = [{"article": text, "highlights": "It\nis.", "id": name} for name, text in ODD.items()]
    built = _build(write_hub_dataset(tmp_path / "hub", rows), tokenizer, len(ODD))
    for name, ours, official in zip(
        ODD, built.prompts, official_encode(list(ODD.values())), strict=True
    ):
        assert ours == official, name
    assert set(built.references) == {"It\nis."}


def test_a_short_run_takes_the_first_of_the_suites_samples(
    whole: Path, rows: list[Row], tokenizer: ModelTokenizer
) -> None:
    shuffled = [int(index) for index in np.random.default_rng(42).permutation(WHOLE)]
    for suite, order in ((Suite.DATACENTER, range(WHOLE)), (Suite.EDGE, shuffled)):
        short = _build(whole, tokenizer, 64, suite=suite)
        assert short.references == [rows[index]["highlights"] for index in order[:64]]


def test_files_of_a_split_are_read_in_their_order(
    tmp_path: Path, tokenizer: ModelTokenizer
) -> None:
    rows = make_rows(40)
    one = _build(write_hub_dataset(tmp_path / "one", rows), tokenizer, 40)
    three = _build(write_hub_dataset(tmp_path / "three", rows, shards=3), tokenizer, 40)
    assert (one.prompts, one.references) == (three.prompts, three.references)
    assert one.origin != three.origin


def test_a_truncating_tokenizer_file_does_not_truncate(
    small: Path, tokenizer: ModelTokenizer, tiny_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((tiny_folder / "tokenizer.json").read_text())
    content["truncation"] = {
        "max_length": 16,
        "stride": 0,
        "strategy": "LongestFirst",
        "direction": "Right",
    }
    assert _build(small, _tokenizer(tmp_path, content), 40) == _build(small, tokenizer, 40)


# Refused.


def test_an_official_run_takes_just_the_whole_split(
    tmp_path: Path, rows: list[Row], tokenizer: ModelTokenizer
) -> None:
    fewer = write_hub_dataset(tmp_path / "hub", rows[:-1])
    for suite, samples in ((Suite.DATACENTER, WHOLE), (Suite.EDGE, EDGE)):
        said = _refusal(fewer, tokenizer, samples, suite=suite, official=True)
        assert f"{WHOLE - 1} rows, MLPerf takes {WHOLE}" in said


def test_too_few_rows_are_refused(small: Path, tokenizer: ModelTokenizer) -> None:
    assert "40 rows, 41 are needed" in _refusal(small, tokenizer, 41)


def test_another_number_of_rows_than_the_card_says_is_refused(
    small: Path, tokenizer: ModelTokenizer
) -> None:
    write_card(small, make_card(39))
    assert "40 rows, its card says 39" in _refusal(small, tokenizer, 8)


def test_a_card_that_says_no_number_is_taken(small: Path, tokenizer: ModelTokenizer) -> None:
    before = _build(small, tokenizer, 40)
    write_card(small, make_card(40, dataset_info=[]))
    assert _build(small, tokenizer, 40) == before


def _parquet(small: Path) -> Path:
    (path,) = (small / "3.0.0").iterdir()
    return path


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"article": ["a"] * 40}, "highlights"),
        ({"text": ["a"] * 40, "highlights": ["b"] * 40}, "article"),
        ({"article": [1] * 40, "highlights": ["b"] * 40}, "article"),
        ({"article": ["a"] * 40, "highlights": ["b"] * 20 + [None] * 20}, "20 has no highlights"),
        ({"article": [None, *["a"] * 39], "highlights": ["b"] * 40}, "0 has no article"),
    ],
)
def test_other_columns_than_texts_are_refused(
    small: Path, tokenizer: ModelTokenizer, columns: dict[str, list[Any]], words: str
) -> None:
    pq.write_table(pa.table(columns), _parquet(small))
    write_card(small, make_card(40, dataset_info=[]))
    assert words in _refusal(small, tokenizer)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_a_broken_file_is_refused(small: Path, tokenizer: ModelTokenizer, content: bytes) -> None:
    _parquet(small).write_bytes(content)
    assert "datasets cannot load it" in _refusal(small, tokenizer)


def test_a_folder_without_a_card_or_the_split_is_refused(
    small: Path, tokenizer: ModelTokenizer
) -> None:
    said = _refusal(small, tokenizer, split="test")
    assert "no Parquet file is its test split of 3.0.0: none is named" in said
    said = _refusal(small, tokenizer, split="train")
    assert "no Parquet file is its train split of 3.0.0: 3.0.0/train-*" in said
    (small / "README.md").write_text("# No metadata\n")
    assert "none is named" in _refusal(small, tokenizer)
    (small / "README.md").unlink()
    assert "README.md" in _refusal(small, tokenizer)
    (small / "file").write_text("")
    assert "README.md" in _refusal(small / "file", tokenizer)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    wanted = Wanted(Suite.DATACENTER, 1, False)
    with pytest.raises(NotThere, match=str(tmp_path / "none")):
        find_rebuilt(RebuiltDataset(path=str(tmp_path / "none")), wanted, tmp_path, tmp_path)
    with pytest.raises(NotThere, match=f"{tmp_path}.*{RebuiltDataset().revision}: not fetched"):
        find_rebuilt(RebuiltDataset(), wanted, tmp_path, tmp_path)


def _tokenizer(tmp_path: Path, content: dict[str, Any]) -> ModelTokenizer:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return load_tokenizer(folder)


def test_a_tokenizer_that_puts_not_bos_alone_before_a_text_is_refused(
    small: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((tiny_folder / "tokenizer.json").read_text())
    template = content["post_processor"]
    (bos,) = template["special_tokens"].values()
    mark = {"SpecialToken": {"id": bos["id"], "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    for single, words in (
        ([mark, text, mark], "2 special tokens"),
        ([text], "0 special tokens"),
        ([text, mark], "are not BOS and"),
    ):
        template["single"] = single
        assert words in _refusal(small, _tokenizer(tmp_path, content))


# On the host.


def test_it_is_stored_apart_by_what_the_files_are(small: Path) -> None:
    def identity() -> str:
        source = RebuiltDataset(path=str(small))
        return find_rebuilt(source, Wanted(Suite.DATACENTER, 1, False), small, small).identity

    before = identity()
    assert identity() == before
    os.utime(small / "README.md", (1, 1))
    card = identity()
    write_parquet(_parquet(small), make_rows(40, seed=4))
    assert len({before, card, identity()}) == 3


def test_no_network_is_asked_and_nothing_is_left(
    small: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """In a process of its own: the libraries look at their environment as they are imported."""
    code = f"""
import sys
def forbid(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit("asked the network")
sys.addaudithook(forbid)
from pathlib import Path
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_agent.contract.dataset import RebuiltDataset
from loadfleet_agent.dataset.rebuilt import find_rebuilt
from loadfleet_agent.dataset.source import Wanted
from loadfleet_agent.model.tokenizer import ModelTokenizer
source = RebuiltDataset(path={str(small)!r})
wanted = Wanted(Suite.DATACENTER, 8, False)
found = find_rebuilt(source, wanted, Path("/nowhere"), Path({str(tmp_path / "scratch")!r}))
print(len(found.read(ModelTokenizer(Path({str(tiny_folder)!r}))).prompts))
"""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"HOME": str(tmp_path / "user")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr
    assert not (tmp_path / "user").exists()
    assert not list((tmp_path / "scratch").iterdir())
