"""Prompts of lm_eval as token ids, with the model's own tokenizer and chat template.

As lm_eval's own vLLM backend makes them (``models/vllm_causallms.py`` of 0.4.13): the same
tokenizer, and no second BOS before a text that begins with one, as a chat template's does.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.status import FailureCode
from ..failure import RunFailure


@dataclass(frozen=True, slots=True)
class Pair:
    """A context and one continuation of it, neither of them empty."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


class PromptEncoder:
    """A model folder's tokenizer."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer  # heavy

        self._folder = folder
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # of transformers and of all that it reads with
            text = next(iter(str(error).splitlines()), "")[:200]
            raise RunFailure(
                FailureCode.MODEL_MISSING, f"{folder}: its tokenizer cannot be read: {text}"
            ) from error
        # It warns of every prompt that is longer than the model was made for; that is checked.
        logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)

    @property
    def end_id(self) -> int:
        """Of the token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_id(self) -> int:
        """Of the token before a text that has nothing before it."""
        begin = self.tokenizer.bos_token_id
        return self.end_id if begin is None else int(begin)

    @cached_property
    def _begin(self) -> str:
        return str(self.tokenizer.decode(self.prefix_id))

    @property
    def end(self) -> str:
        """Text of the token that ends a text; lm_eval takes it for a stop string."""
        return str(self.tokenizer.decode(self.end_id) or self.tokenizer.eos_token)

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> list[list[int]]:
        """Token ids of each text, BOS once before it if the model has one."""
        found: list[list[int]] = [[] for _ in texts]
        begun = [text.startswith(self._begin) for text in texts]
        for has_begin in (False, True):
            at = [index for index, text in enumerate(texts) if text and begun[index] == has_begin]
            if at:
                encoded = self.tokenizer(
                    [texts[index] for index in at],
                    add_special_tokens=special_tokens and not has_begin,
                    return_attention_mask=False,
                )
                for index, ids in zip(at, encoded["input_ids"], strict=True):
                    found[index] = list(ids)
        return found

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
        """As lm_eval's TemplateLM encodes contexts and continuations, but each text once.

        Spaces at the end of a context belong to its continuation; the two are encoded as one text
        and parted where the context ends. After an empty context comes BOS alone.
        """
        moved = [_with_spaces_moved(*pair) for pair in pairs]
        texts = list(dict.fromkeys(t for c, k in moved if c for t in (c, c + k)))
        ids = dict(zip(texts, self.encode(texts), strict=True))
        alone = list(dict.fromkeys(k for c, k in moved if not c))
        ids_alone = dict(zip(alone, self.encode(alone, special_tokens=False), strict=True))
        found = []
        for context, continuation in moved:
            if context:
                before = ids[context]
                after = ids[context + continuation][len(before) :]
            else:
                after = ids_alone[continuation]
                before = [self.prefix_id]
                if after[:1] == before:
                    after = after[1:]
            found.append(Pair(tuple(before), tuple(after)))
        return found

    def apply_chat_template(self, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """The turns as one text. Raises RunFailure (bad-plan) if the model has no template."""
        if not self.tokenizer.chat_template:
            raise RunFailure(
                FailureCode.BAD_PLAN,
                f"mmlu_tasks: {self._folder} has no chat template, in which this task is asked: "
                "take mmlu or mmlu_generative, or an instruct model",
            )
        return str(
            self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )


def _with_spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return (kept, context[len(kept) :] + continuation) if kept else (context, continuation)


def prompt_sha256(tokens: Sequence[int]) -> bytes:
    """SHA-256 of token ids, little-endian 32 bit each."""
    return hashlib.sha256(np.asarray(tokens, dtype="<u4").tobytes()).digest()
