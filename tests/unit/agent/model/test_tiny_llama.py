"""The tiny model: the same bytes for the same seed, and a whole model folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.model.resolve import model_facts
from loadfleet_agent.model.tiny_llama import (
    BOS,
    END,
    END_OF_TURN,
    VOCABULARY,
    make_tiny_llama,
)
from loadfleet_agent.model.tokenizer import ModelTokenizer
from tokenizers import Tokenizer


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    tiny_folder: Path, tmp_path: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; "
        "from loadfleet_agent.model.tiny_llama import make_tiny_llama; "
        "make_tiny_llama(Path(sys.argv[1]), 0)"
    )
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            check=True,
            timeout=300,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )
        assert _hashes(folder) == _hashes(tiny_folder)


def test_another_seed_gives_other_weights_and_the_same_tokenizer(
    tiny_folder: Path, tmp_path: Path
) -> None:
    make_tiny_llama(tmp_path / "other", seed=1)
    one, other = _hashes(tiny_folder), _hashes(tmp_path / "other")
    assert {name for name in one if one[name] != other[name]} == {"model.safetensors"}


def test_nothing_but_the_model_folder_is_left(tmp_path: Path) -> None:
    make_tiny_llama(tmp_path / "model", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_tokenizer_fills_the_vocabulary_and_puts_bos_first(
    tiny_folder: Path, tokenizer: ModelTokenizer
) -> None:
    raw = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    assert raw.get_vocab_size() == VOCABULARY
    text = 'Dr. Pike told "reporters": it\'s £3.5 million - naïve, ünlikely…'
    (ids,) = tokenizer.encode([text])
    assert ids[0] == raw.token_to_id(BOS)
    assert tokenizer.decode([ids]) == [text]
    assert tokenizer.decode([[*ids, raw.token_to_id(END_OF_TURN)]]) == [text]


def test_its_facts_name_the_stop_tokens(tiny_folder: Path, tiny_model: ModelFacts) -> None:
    raw = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    assert tiny_model.vocabulary == VOCABULARY
    assert tiny_model.stop_token_ids == (raw.token_to_id(END), raw.token_to_id(END_OF_TURN))
    assert model_facts(tiny_folder, "tiny") == tiny_model
