"""Latency of single samples, and how far the answers of hosts agree."""

from __future__ import annotations

from typing import Literal

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.benchmark import Scenario
from pydantic import Field

PROBABILITIES = (
    *(step / 20 for step in range(20)),
    0.97,
    0.98,
    0.99,
    0.995,
    0.999,
    1.0,
)
"""At which a latency curve is told."""


class LatencyCurve(Frozen):
    """Cumulative distribution of one latency over the samples of a run, measured by the agent.

    Latency and TTFT begin as LoadGen issued the query to the agent; LoadGen's own begin as it
    was scheduled. TPOT is (last - first token) / (tokens - 1) of each sample with two tokens or
    more.
    """

    metric: Literal["latency", "ttft", "tpot"]
    samples: int = Field(ge=1)
    quantiles_ns: tuple[float, ...] = Field(description="at each of PROBABILITIES")
    p99_bound_ns: float | None = Field(
        description="p99 with 99 % confidence by LoadGen's early stopping; None: too few samples"
    )
    limit_ns: int | None = Field(description="MLPerf's at the 99th percentile, if it has one")
    over_limit: float | None = Field(description="share of samples over the limit, 0 to 1")
    loadgen_p99_ns: int | None = Field(description="LoadGen's own, where it logs one")
    difference: float | None = Field(
        description="of our p99 from LoadGen's, as a share of LoadGen's; None without one"
    )


class HostAgreement(Frozen):
    """How many of a host's answers are those that most hosts gave."""

    host: str
    identical: float = Field(description="share of the samples, 0 to 1")


class DifferingSample(Frozen):
    """A sample to which not all hosts gave the same answer."""

    sample_index: int
    answers: dict[str, tuple[str, ...]] = Field(
        description="first digits of an answer's SHA-256 to the hosts that gave it, most first"
    )


class Agreement(Frozen):
    """Answers of the hosts of one group in one accuracy run, under greedy decoding."""

    group: str
    scenario: Scenario
    samples: int = Field(description="answered by every one of these hosts")
    identical: float = Field(description="share of them with one answer on all hosts, 0 to 1")
    hosts: tuple[HostAgreement, ...] = Field(description="the least agreeing first")
    differing: tuple[DifferingSample, ...] = Field(
        description="samples with most other answers first, at most 20"
    )
    note: str = Field(default="", description="why there is no comparison, or what it lacks")
