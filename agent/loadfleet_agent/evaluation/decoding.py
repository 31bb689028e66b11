"""An answer's text while its tokens come, cut where a stop string appears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream

_INVALID_PREFIX = "Invalid prefix encountered"


class DecodedText:
    """Decoded as vLLM does it: token by token, special tokens kept, bytes held back until they are
    whole characters."""

    def __init__(self, tokenizer: Any, prompt: Sequence[int], stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(ids=list(prompt), skip_special_tokens=False)
        self._stops = [stop for stop in stops if stop]
        self._longest = max(map(len, self._stops), default=0)
        self._text = ""
        self.stopped = False

    @property
    def text(self) -> str:
        """Without the stop string and what follows it."""
        return self._text

    def add(self, token: int) -> None:
        """One token more; after a stop string none counts."""
        if self.stopped:
            return
        seen = max(0, len(self._text) - self._longest + 1)
        self._text += self._decode(token)
        found = [at for stop in self._stops if (at := self._text.find(stop, seen)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.stopped = True

    def _decode(self, token: int) -> str:
        try:
            return self._stream.step(self._tokenizer, token) or ""
        except Exception as error:  # tokenizers raises plain Exception
            if not str(error).startswith(_INVALID_PREFIX):
                raise
            # Random bytes may undo what was a character; its state is of no use any more.
            self._stream = DecodeStream(skip_special_tokens=False)
            return self._stream.step(self._tokenizer, token) or ""
