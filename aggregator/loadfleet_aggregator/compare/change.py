"""How much a number changed, from a host's measurements and over the hosts of a fleet."""

from __future__ import annotations

from collections.abc import Sequence

from ..intervals import geometric_mean, log_difference_interval, log_mean_interval
from ..report.metric import Metric
from .model import FleetChange, HostChange, Outcome


def host_change(host: str, old: Sequence[float], new: Sequence[float]) -> HostChange:
    """From every measurement of a host in each run, which is one where nothing was repeated.

    Raises ValueError without one, or for one that is not positive.
    """
    return HostChange(
        host=host,
        old=tuple(old),
        new=tuple(new),
        # Each mean apart would not give exactly 1 for equal measurements.
        ratio=new[0] / old[0]
        if len(old) == len(new) == 1
        else geometric_mean(new) / geometric_mean(old),
        interval=log_difference_interval(old, new),
    )


def fleet_change(metric: Metric, hosts: Sequence[HostChange]) -> FleetChange:
    """The geometric mean of the hosts' ratios with its interval.

    The unit is the host: with two or more, Student's t over the logarithms of their ratios. With
    one it is the interval of its own repeats, which says something of that host alone.
    """
    worst_first = sorted(
        hosts, key=lambda item: (-item.ratio if metric.lower_is_better else item.ratio, item.host)
    )
    if not worst_first:
        return FleetChange(metric=metric, hosts=(), old=None, new=None, ratio=None, interval=None)
    ratios = [item.ratio for item in worst_first]
    return FleetChange(
        metric=metric,
        hosts=tuple(worst_first),
        old=geometric_mean([geometric_mean(item.old) for item in worst_first]),
        new=geometric_mean([geometric_mean(item.new) for item in worst_first]),
        ratio=geometric_mean(ratios),
        interval=log_mean_interval(ratios) if len(ratios) > 1 else worst_first[0].interval,
    )


def limit_ratio(metric: Metric, allowed_loss: float) -> float:
    """The ratio new over old at which the allowed loss ends: 3 % is 0.97 of a speed and 1.03 of
    a latency."""
    return 1 + allowed_loss if metric.lower_is_better else 1 - allowed_loss


def judge(change: FleetChange, allowed_loss: float) -> Outcome:
    """Fail where the whole interval is a greater loss than allowed, pass where none of it is."""
    if change.interval is None:
        return Outcome.INCONCLUSIVE
    limit = limit_ratio(change.metric, allowed_loss)
    low, high = change.interval.low, change.interval.high
    if change.metric.lower_is_better:
        beyond, within = low > limit, high <= limit
    else:
        beyond, within = high < limit, low >= limit
    if beyond:
        return Outcome.FAIL
    return Outcome.PASS if within else Outcome.INCONCLUSIVE
