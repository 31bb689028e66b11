"""How much of its speed alone a host keeps as others work, from repeats of both.

The baseline is each host alone, in runs of their own, in turns with the runs together. It is never
the mean of the same hosts of the same run: against that every fleet keeps exactly 100 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.benchmark import Scenario

from ..intervals import Interval, geometric_mean, log_mean_interval
from .model import HostEfficiency, JointThroughput, ScalingReport

LINEAR = "not distinguishable from linear"
SUPER_LINEAR = "super-linear: look at warm caches, clocks or different samples"
NO_INTERVAL = "one repeat: no interval"


class Repeat(Frozen):
    """Output tokens per second of one repeat; a host is missing where its run does not count."""

    together: dict[str, float]
    alone: dict[str, float]

    def is_whole(self, hosts: Sequence[str]) -> bool:
        return all(host in self.together and host in self.alone for host in hosts)


def scaling_report(
    scenario: Scenario,
    hosts: Sequence[str],
    repeats: Sequence[Repeat],
    joint: Sequence[JointThroughput],
    shares_machine: Sequence[tuple[str, ...]],
) -> ScalingReport | None:
    """From the repeats in which every run counts; None if there is none."""
    whole = [repeat for repeat in repeats if repeat.is_whole(hosts)]
    if not whole:
        return None
    together = [sum(repeat.together[host] for host in hosts) for repeat in whole]
    alone = [sum(repeat.alone[host] for host in hosts) for repeat in whole]
    ratios = [many / one for many, one in zip(together, alone, strict=True)]
    efficiency, interval = geometric_mean(ratios), log_mean_interval(ratios)
    best = max(fmean(repeat.alone[host] for repeat in whole) for host in hosts)
    return ScalingReport(
        scenario=scenario,
        repeats=len(whole),
        hosts=tuple(_host(host, whole) for host in hosts),
        efficiency=efficiency,
        of_repeats=tuple(ratios),
        alone_tokens_per_second=geometric_mean(alone),
        together_tokens_per_second=geometric_mean(together),
        interval=interval,
        verdict=verdict(efficiency, interval),
        against_best=geometric_mean(together) / (len(hosts) * best),
        joint=tuple(joint),
        shares_machine=tuple(shares_machine),
    )


def verdict(efficiency: float, interval: Interval | None) -> str:
    """In words; nothing is claimed that the interval does not show."""
    if interval is None:
        return NO_INTERVAL
    if interval.low <= 1 <= interval.high:
        return LINEAR
    if interval.low > 1:
        return SUPER_LINEAR
    loss, least, most = ((1 - value) * 100 for value in (efficiency, interval.high, interval.low))
    return f"loses {loss:.1f} % ({least:.1f} % to {most:.1f} %)"


def _host(host: str, whole: Sequence[Repeat]) -> HostEfficiency:
    ratios = [repeat.together[host] / repeat.alone[host] for repeat in whole]
    return HostEfficiency(
        host=host,
        alone_tokens_per_second=tuple(repeat.alone[host] for repeat in whole),
        together_tokens_per_second=tuple(repeat.together[host] for repeat in whole),
        efficiency=geometric_mean(ratios),
        interval=log_mean_interval(ratios),
    )
