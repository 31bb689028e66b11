"""The null engine: instant made-up tokens, to measure the harness and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ..contract.profile import Generation
from ..contract.result import EngineFacts, ModelFacts


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
    ) -> AsyncIterator[Sequence[int]]:
        if stream:
            yield self._answer[:1]
            yield self._answer[1:]
        else:
            yield self._answer

    def load(self) -> None:
        """It answers at once: nothing ever runs or waits."""

    async def stop(self) -> None:
        return None
