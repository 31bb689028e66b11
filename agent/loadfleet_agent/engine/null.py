"""The null engine: instant made-up tokens, to measure the harness and nothing else."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import AsyncGenerator, Sequence

from ..contract.profile import Generation
from ..contract.result import EngineFacts, ModelFacts
from .base import ContinuationScore


class NullEngine:
    """Answers every prompt at once with max_tokens ids of the vocabulary."""

    def __init__(self, generation: Generation, model: ModelFacts) -> None:
        usable = [i for i in range(model.vocabulary) if i not in model.stop_token_ids]
        ids = usable[: generation.max_tokens]
        self._answer = (ids * (generation.max_tokens // len(ids) + 1))[: generation.max_tokens]

    async def start(self) -> EngineFacts:
        return EngineFacts(kind="null", version="1", start_s=0.0, settings={})

    async def generate(
        self,
        request_id: str,  # noqa: ARG002 - of the protocol
        prompt: Sequence[int],  # noqa: ARG002
        *,
        stream: bool,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Sequence[int], None]:
        answer = self._answer if max_tokens is None else self._answer[:max_tokens]
        if stream:
            yield answer[:1]
            yield answer[1:]
        else:
            yield answer

    async def score(
        self,
        request_id: str,  # noqa: ARG002
        prompt: Sequence[int],
        continuations: Sequence[Sequence[int]],
    ) -> list[ContinuationScore]:
        """Made up from the tokens alone: the same ones always get the same."""
        made = [_made_up(prompt, tokens) for tokens in continuations]
        return [ContinuationScore(value, greedy=value == max(made)) for value in made]

    def load(self) -> None:
        """It answers at once: nothing ever runs or waits."""

    async def stop(self) -> None:
        return None


def _made_up(prompt: Sequence[int], continuation: Sequence[int]) -> float:
    """A log-probability of -16 to 0."""
    tokens = array("q", (*prompt, -1, *continuation))
    return -int.from_bytes(hashlib.sha256(tokens.tobytes()).digest()[:4], "big") / 2**28
