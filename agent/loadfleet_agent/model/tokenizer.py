"""The model's tokenizer, read from its tokenizer.json as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ..contract.status import FailureCode
from ..failure import RunFailure


class ModelTokenizer:
    """Encodes with the model's own special tokens (BOS) and decodes without any.

    Decoding follows transformers 4.46, which MLPerf's evaluation pins: where the model's
    tokenizer_config.json asks for it, spaces before punctuation are cleaned up.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        config_path = folder / "tokenizer_config.json"
        config = json.loads(config_path.read_text("utf-8")) if config_path.is_file() else {}
        self._clean_up = bool(config.get("clean_up_tokenization_spaces", False))

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> list[list[int]]:
        """Token ids of each text, with BOS; without ``special_tokens`` those of the text alone."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=special_tokens)
        return [item.ids for item in encoded]

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of each answer, special tokens left out."""
        texts = self._tokenizer.decode_batch([list(ids) for ids in token_ids])
        return [_clean_up(text) for text in texts] if self._clean_up else texts


def load_tokenizer(folder: Path) -> ModelTokenizer:
    """The tokenizer of a model folder. Raises RunFailure (model-missing) if it is unusable."""
    try:
        return ModelTokenizer(folder)
    except Exception as error:  # tokenizers raises plain Exception
        raise RunFailure(
            FailureCode.MODEL_MISSING, f"{folder}: its tokenizer cannot be read: {error}"
        ) from error


_CLEAN_UP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def _clean_up(text: str) -> str:
    """PreTrainedTokenizerBase.clean_up_tokenization of transformers 4.46, in its order."""
    for old, new in _CLEAN_UP:
        text = text.replace(old, new)
    return text
