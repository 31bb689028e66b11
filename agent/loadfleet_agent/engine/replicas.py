"""Several engines behind one: each query goes to the engine with the least work before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

from ..contract.result import EngineFacts
from ..contract.status import FailureCode
from .base import ContinuationScore, Engine, EngineDied, EngineLoad, EngineStartError


@dataclass
class Replica:
    """One engine of several."""

    name: str
    """How messages call it, e.g. ``GPU 1``."""
    engine: Engine
    outstanding_tokens: int = 0
    """Of queries that are not answered: prompts, and as many new tokens as answers may have."""


class ReplicatedEngine:
    """Engines of one model and one configuration, one for each GPU or group of GPUs.

    ``answer_tokens``: the longest answer. All calls from one event loop, as of an engine.
    """

    def __init__(self, replicas: Sequence[Replica], answer_tokens: int) -> None:
        if not replicas:
            raise ValueError("no replica")
        self._replicas = list(replicas)
        self._answer_tokens = answer_tokens

    async def start(self) -> EngineFacts:
        """Starts them one after the other: each takes its GPUs from what it finds as it starts.

        The first fills the caches of compiled code that the others then read. Raises
        EngineStartError with the name of the one that did not start, or whose configuration
        came out otherwise; all are stopped then.
        """
        facts: list[EngineFacts] = []
        try:
            for replica in self._replicas:
                try:
                    facts.append(await replica.engine.start())
                except EngineStartError as error:
                    raise EngineStartError(error.code, f"{replica.name}: {error}") from error
            return self._joint_facts(facts)
        except BaseException:
            await self.stop()
            raise

    def _joint_facts(self, facts: Sequence[EngineFacts]) -> EngineFacts:
        first = facts[0]
        for replica, other in zip(self._replicas, facts, strict=True):
            for key, value in first.settings.items():
                # Found anew at each start, from the memory that is free then.
                if key != "kv_cache_blocks" and other.settings.get(key) != value:
                    raise EngineStartError(
                        FailureCode.ENGINE_START,
                        f"{replica.name} started with {key}={other.settings.get(key)}, "
                        f"{self._replicas[0].name} with {value}",
                    )
        blocks = [item.settings.get("kv_cache_blocks") for item in facts]
        known = [value for value in blocks if isinstance(value, int)]
        return first.model_copy(
            update={
                "start_s": round(sum(item.start_s for item in facts), 1),
                "gpus": tuple(gpu for item in facts for gpu in item.gpus),
                "settings": first.settings
                | {
                    "kv_cache_blocks": min(known) if known else None,
                    "replicas": len(facts),
                    "replica_names": ", ".join(replica.name for replica in self._replicas),
                },
            }
        )

    async def generate(
        self,
        request_id: str,
        prompt: Sequence[int],
        *,
        stream: bool,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Sequence[int], None]:
        answer = self._answer_tokens if max_tokens is None else max_tokens
        with self._least_loaded(len(prompt) + answer) as replica:
            parts = replica.engine.generate(
                request_id, prompt, stream=stream, max_tokens=max_tokens
            )
            async with contextlib.aclosing(parts):
                async for part in parts:
                    yield part

    async def score(
        self, request_id: str, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[ContinuationScore]:
        work = len(prompt) + sum(len(tokens) for tokens in continuations)
        with self._least_loaded(work) as replica:
            return await replica.engine.score(request_id, prompt, continuations)

    @contextlib.contextmanager
    def _least_loaded(self, work: int) -> Iterator[Replica]:
        """The replica for a request of so many tokens; its death is told with its name."""
        replica = min(self._replicas, key=lambda item: item.outstanding_tokens)
        replica.outstanding_tokens += work
        try:
            yield replica
        except EngineDied as error:
            raise EngineDied(f"{replica.name}: {error}") from error
        finally:
            replica.outstanding_tokens -= work

    def load(self) -> EngineLoad | None:
        """Requests of all of them, and the fullest KV cache; None if one does not tell."""
        loads = [replica.engine.load() for replica in self._replicas]
        told = [load for load in loads if load is not None]
        if len(told) < len(loads):
            return None
        return EngineLoad(
            running=sum(load.running for load in told),
            waiting=sum(load.waiting for load in told),
            kv_cache=max(load.kv_cache for load in told),
        )

    async def stop(self) -> None:
        """Stops all, also those after one that fails to."""
        ended = await asyncio.gather(
            *(replica.engine.stop() for replica in self._replicas), return_exceptions=True
        )
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
