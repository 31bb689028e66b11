"""What ``loadfleet-agent tune`` tried and found: the evidence that stands in a tuned profile."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from .base import Frozen, UtcTime
from .benchmark import Scenario
from .status import FailureCode

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for 95 % and 1 to 10 degrees of freedom, two-sided (NIST/SEMATECH e-Handbook
of Statistical Methods, 1.3.6.7.2)."""


class TunedTrial(Frozen):
    """One setting of the engine, started and measured."""

    number: int = Field(ge=0, description="0 is the profile as it was")
    settings: dict[str, Any] = Field(description="engine settings that were varied")
    samples_per_s: float | None = Field(
        description="Offline: LoadGen's samples per second; Server: the highest rate that held; "
        "None: it failed"
    )
    failure: FailureCode | None = None
    reason: str = Field(default="", description="why it failed")
    seconds: float = Field(ge=0, description="start of the engine and measurement together")


class TunedPair(Frozen):
    """The profile as it was and the best setting, one after the other."""

    base_samples_per_s: float = Field(gt=0)
    best_samples_per_s: float = Field(gt=0)

    @property
    def gain(self) -> float:
        return self.best_samples_per_s / self.base_samples_per_s - 1


class Gain(Frozen):
    """Of the best setting over the profile as it was: 0.05 is 5 % more samples per second."""

    mean: float = Field(description="geometric mean over the pairs, minus 1")
    low: float | None = Field(description="of the 95 % interval; None with fewer than two pairs")
    high: float | None


class Tuning(Frozen):
    """Evidence of a tuned profile."""

    scenario: Scenario = Field(description="what was made faster: Offline or Server")
    base_profile: str
    finished_utc: UtcTime
    loadfleet_agent: str = Field(description="version")
    engine: str = Field(description="vLLM's distribution and version")
    gpus: tuple[str, ...] = Field(description="names by NVML; empty: a CPU")
    nvidia_driver: str | None
    model: str
    dataset: str = Field(description="its label: mlperf, rebuilt or synthetic, and so on")
    samples: int = Field(ge=1, description="of each measured burst; Server: of a short run")
    base: dict[str, Any] = Field(description="the varied settings in the profile as it was")
    best: dict[str, Any] = Field(description="the same in this profile")
    trials: tuple[TunedTrial, ...] = Field(min_length=1)
    pairs: tuple[TunedPair, ...] = Field(description="that confirm the gain; empty: none was run")
    gain: Gain | None = Field(description="None: the profile as it was is the best, or no pair")

    @property
    def out_of_memory(self) -> tuple[TunedTrial, ...]:
        return tuple(t for t in self.trials if t.failure is FailureCode.OUT_OF_GPU_MEMORY)


def measure_gain(pairs: Sequence[TunedPair]) -> Gain | None:
    """Geometric mean of the pairs' ratios with Student's t interval on their logarithms.

    None without pairs; no interval with one. At most eleven pairs.
    """
    if not pairs:
        return None
    logs = [math.log1p(pair.gain) for pair in pairs]
    mean = statistics.fmean(logs)
    if len(logs) == 1:
        return Gain(mean=math.expm1(mean), low=None, high=None)
    half = T_95[len(logs) - 2] * statistics.stdev(logs) / math.sqrt(len(logs))
    return Gain(mean=math.expm1(mean), low=math.expm1(mean - half), high=math.expm1(mean + half))
