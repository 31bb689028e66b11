"""The common axis of a report, and a host's series on it."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen, UtcTime
from pydantic import Field

Series = tuple[float | None, ...]
"""A value for each bin of the axis; None where nothing is known."""


class TimeAxis(Frozen):
    """Bins of equal length over all LoadGen runs of a report, by the controller's clock."""

    start_utc: UtcTime
    bin_s: float = Field(ge=1e-3, le=1e7)
    bins: int = Field(ge=1, le=200)


class HostTimeline(Frozen):
    """A host over the axis; sensors of several GPUs are one: power added up, the rest the worst."""

    tokens_per_second: Series = Field(description="of samples that ended in the bin")
    running: Series = Field(description="requests in the engine's batch, mean; () if not told")
    waiting: Series = Field(description="requests that wait for a place in it; () if not told")
    kv_cache: Series = Field(description="share of the KV cache in use; () if not told")
    power_w: Series
    sm_clock_mhz: Series = Field(description="of the GPU with the lowest")
    temperature_c: Series = Field(description="of the hottest GPU")
    cpu_percent: Series
    note: str = Field(default="", description="what is to be known of its clock, or ''")
