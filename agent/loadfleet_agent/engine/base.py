"""The protocol that every engine follows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..contract.result import EngineFacts
from ..contract.status import FailureCode


class EngineStartError(RuntimeError):
    """The engine did not start; ``code`` says why as far as it could be told."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineDied(RuntimeError):
    """The engine is gone; no answer will come any more."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine is busy with at one moment."""

    running: int
    """Requests in its batch."""
    waiting: int
    """Requests that wait for a place in it."""
    kv_cache: float
    """Share of the KV cache in use, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ContinuationScore:
    """How likely a model finds a continuation of a prompt."""

    log_probability: float
    """Natural logarithm, the sum over its tokens."""
    greedy: bool
    """Whether greedy decoding of the prompt would give just these tokens."""


class Engine(Protocol):
    """Generates token ids for prompts of token ids. All calls from one event loop."""

    async def start(self) -> EngineFacts:
        """Loads the model. Raises EngineStartError."""

    def generate(
        self,
        request_id: str,
        prompt: Sequence[int],
        *,
        stream: bool,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Sequence[int], None]:
        """The answer's token ids, greedily decoded.

        With ``stream`` as they come, else once and whole; closing it ends the request. A stop
        token that ends the answer is part of it. The answer is as short and as long as the plan
        allows, or with ``max_tokens`` none to so many tokens long. Raises EngineDied.
        """

    async def score(
        self, request_id: str, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[ContinuationScore]:
        """Each of these continuations of the prompt, none of them empty.

        Those of one token are scored together, in one pass. Raises EngineDied.
        """

    def load(self) -> EngineLoad | None:
        """As it was last told; None where it is not. From any thread, at once."""

    async def stop(self) -> None:
        """Frees the device. Safe to call twice, and after a failed start."""
