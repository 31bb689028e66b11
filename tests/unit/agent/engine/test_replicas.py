"""Queries go to the engine with the least work; one that dies is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from loadfleet_agent.contract.result import EngineFacts
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.engine.base import (
    ContinuationScore,
    EngineDied,
    EngineLoad,
    EngineStartError,
)
from loadfleet_agent.engine.replicas import Replica, ReplicatedEngine

ANSWER = 4


class Held:
    """An engine that answers when it is told to."""

    def __init__(
        self, *, settings: dict[str, int] | None = None, fails: bool = False, gpu: int = 0
    ) -> None:
        self.gpu = gpu
        self.settings = {"max_num_seqs": 8, "kv_cache_blocks": 100} | (settings or {})
        self.fails = fails
        self.served: list[str] = []
        self.free = asyncio.Event()
        self.dead = False
        self.stopped = 0
        self.told: EngineLoad | None = None

    def load(self) -> EngineLoad | None:
        return self.told

    async def start(self) -> EngineFacts:
        if self.fails:
            raise EngineStartError(FailureCode.OUT_OF_GPU_MEMORY, "no room")
        return EngineFacts(
            kind="vllm",
            version="vllm 0",
            start_s=2.0,
            settings=dict(self.settings),
            gpus=(self.gpu,),
        )

    async def generate(
        self,
        request_id: str,
        prompt: Sequence[int],
        *,
        stream: bool,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Sequence[int], None]:
        self.served.append(request_id)
        await self.free.wait()
        if self.dead:
            raise EngineDied("core is gone")
        yield [1, 2]

    async def score(
        self, request_id: str, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[ContinuationScore]:
        self.served.append(request_id)
        await self.free.wait()
        if self.dead:
            raise EngineDied("core is gone")
        return [ContinuationScore(-1.0, greedy=False) for _ in continuations]

    async def stop(self) -> None:
        self.stopped += 1


def joined(*engines: Held) -> ReplicatedEngine:
    named = [Replica(f"GPU {index}", engine) for index, engine in enumerate(engines)]
    return ReplicatedEngine(named, ANSWER)


async def ask(engine: ReplicatedEngine, name: str, length: int) -> list[Sequence[int]]:
    return [part async for part in engine.generate(name, [0] * length, stream=False)]


async def submit(
    engine: ReplicatedEngine, **prompts: int
) -> list[asyncio.Task[list[Sequence[int]]]]:
    tasks = []
    for name, length in prompts.items():
        tasks.append(asyncio.create_task(ask(engine, name, length)))
        await asyncio.sleep(0)
    return tasks


def test_the_engine_with_the_fewest_outstanding_tokens_is_next() -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        one, two = Held(), Held()
        engine = joined(one, two)
        tasks = await submit(engine, a=100, b=10, c=10, d=10, e=90)
        one.free.set()
        two.free.set()
        await asyncio.gather(*tasks)
        return one.served, two.served

    # 104 on the first; 14, 28, 42 and then 136 on the second.
    assert asyncio.run(scenario()) == (["a"], ["b", "c", "d", "e"])


def test_work_that_is_done_counts_no_more() -> None:
    async def scenario() -> list[str]:
        one, two = Held(), Held()
        one.free.set()
        engine = joined(one, two)
        for name in ("a", "b", "c"):
            await ask(engine, name, 100)
        tasks = await submit(engine, d=1)
        two.free.set()
        await asyncio.gather(*tasks)
        return one.served

    assert asyncio.run(scenario()) == ["a", "b", "c", "d"]


def test_an_engine_that_dies_is_named() -> None:
    async def scenario() -> None:
        one, two = Held(), Held()
        two.dead = True
        engine = joined(one, two)
        tasks = await submit(engine, a=10, b=10)
        two.free.set()
        await tasks[1]

    with pytest.raises(EngineDied, match="^GPU 1: core is gone$"):
        asyncio.run(scenario())


def test_scored_prompts_are_shared_out_as_queries_are() -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        one, two = Held(), Held()
        engine = joined(one, two)
        tasks = []
        for name, length in {"a": 100, "b": 10, "c": 10}.items():
            tasks.append(asyncio.create_task(engine.score(name, [0] * length, [[1], [2]])))
            await asyncio.sleep(0)
        one.free.set()
        two.free.set()
        assert [len(await task) for task in tasks] == [2, 2, 2]
        return one.served, two.served

    assert asyncio.run(scenario()) == (["a"], ["b", "c"])


def test_an_engine_that_dies_over_a_score_is_named() -> None:
    async def scenario() -> None:
        one, two = Held(), Held()
        one.dead = True
        one.free.set()
        await joined(one, two).score("a", [0], [[1]])

    with pytest.raises(EngineDied, match="^GPU 0: core is gone$"):
        asyncio.run(scenario())


def test_load_is_that_of_all_and_of_the_fullest_cache() -> None:
    one, two = Held(), Held()
    one.told, two.told = EngineLoad(5, 0, 0.25), EngineLoad(7, 3, 0.75)
    assert joined(one, two).load() == EngineLoad(running=12, waiting=3, kv_cache=0.75)


def test_load_of_which_one_tells_nothing_is_not_known() -> None:
    one, two = Held(), Held()
    one.told = EngineLoad(5, 0, 0.25)
    assert joined(one, two).load() is None


def test_facts_are_those_of_all() -> None:
    async def scenario() -> EngineFacts:
        return await joined(Held(), Held(settings={"kv_cache_blocks": 90}, gpu=1)).start()

    facts = asyncio.run(scenario())
    assert facts.start_s == 4.0
    assert facts.gpus == (0, 1)
    assert facts.settings == {
        "max_num_seqs": 8,
        "kv_cache_blocks": 90,
        "replicas": 2,
        "replica_names": "GPU 0, GPU 1",
    }


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda: Held(fails=True), "^GPU 1: no room$"),
        (lambda: Held(settings={"max_num_seqs": 9}), "GPU 1 started with max_num_seqs=9, GPU 0"),
    ],
    ids=["fails", "differs"],
)
def test_a_start_that_fails_or_differs_stops_all(second: type[Held], words: str) -> None:
    async def scenario() -> tuple[Held, Held, EngineStartError]:
        one, two = Held(), second()
        with pytest.raises(EngineStartError, match=words) as caught:
            await joined(one, two).start()
        return one, two, caught.value

    one, two, _ = asyncio.run(scenario())
    assert (one.stopped, two.stopped) == (1, 1)


def test_all_are_stopped_although_one_fails_to() -> None:
    async def scenario() -> Held:
        broken, two = Held(), Held()

        async def fail() -> None:
            raise OSError("gone")

        broken.stop = fail  # type: ignore[method-assign]
        with pytest.raises(OSError, match="gone"):
            await joined(broken, two).stop()
        return two

    assert asyncio.run(scenario()).stopped == 1
