"""What ``loadfleet-agent overhead`` finds, as it is printed with ``--json``."""

from __future__ import annotations

import statistics

from pydantic import Field

from ..contract.base import Frozen


class NullCeiling(Frozen):
    """What LoadGen and the agent do with an engine that answers at once: the harness alone."""

    engine: str = "null"
    offline_samples_per_s: float
    offline_cpu_share: float = Field(description="processor time over time, 1 is one core")
    server_queries_per_s_held: float = Field(
        description="completed by LoadGen in a VALID run at the highest rate that short runs held"
    )
    server_ttft_p99_ms: float
    server_cpu_share: float
    answer_tokens: int = Field(description="of each answer")
    processors: int = Field(description="that this process may use")


class Throughput(Frozen):
    """One timed pass over the prompts."""

    samples: int
    seconds: float
    output_tokens: int
    cpu_share: float = Field(
        description="processor time of the process that feeds the engine, over time"
    )

    @property
    def tokens_per_s(self) -> float:
        return self.output_tokens / self.seconds


class Pair(Frozen):
    """The same prompts through vLLM alone and through LoadGen and the agent, in turns."""

    raw: Throughput
    loadgen: Throughput
    ratio: float = Field(description="tokens/s through LoadGen over tokens/s of vLLM alone")


class Overhead(Frozen):
    """Several pairs; ``ratio`` is their median."""

    engine: str
    prompts: int
    pairs: tuple[Pair, ...] = Field(min_length=1)
    ratio: float
    lowest: float
    highest: float


def join_pairs(engine: str, prompts: int, pairs: list[Pair]) -> Overhead:
    ratios = [pair.ratio for pair in pairs]
    return Overhead(
        engine=engine,
        prompts=prompts,
        pairs=tuple(pairs),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
    )
