"""Confidence intervals of speeds and latencies, which scatter by factors and not by amounts.

All is computed on logarithms and given back as factors. The unit is a whole run or a whole host,
never a request: requests of one run share its batches, and an interval over them is far too
narrow.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from loadfleet_agent.contract.base import Frozen

CONFIDENCE = 0.95


class Interval(Frozen):
    """From and to, both included."""

    low: float
    high: float


def log_mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Of the geometric mean of positive values, by Student's t on their logarithms.

    exp(m ± t(n - 1) s / sqrt(n)), with m and s the mean and the standard deviation (n - 1 in its
    denominator) of the n logarithms, and t the quantile of Student's distribution at
    (1 + confidence) / 2 (Student, Biometrika 6, 1908; NIST/SEMATECH e-Handbook, 1.3.5.2).

    None with fewer than two values: one value says nothing of how far the next lies from it.
    Raises ValueError for a value that is not positive.
    """
    logs = _logs(values)
    if len(logs) < 2:
        return None
    return _around(
        statistics.fmean(logs), statistics.variance(logs) / len(logs), len(logs) - 1, confidence
    )


def log_difference_interval(
    old: Sequence[float], new: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Of new's geometric mean over old's, by Welch's t on the logarithms.

    The standard error is sqrt(u + v) with u, v = s² / n of each side; the degrees of freedom are
    (u + v)² / (u² / (n - 1) + v² / (m - 1)), as the two need not scatter alike (Welch, Biometrika
    34, 1947; NIST/SEMATECH e-Handbook, 1.3.5.3).

    None where a side has fewer than two values. Raises ValueError for a value that is not
    positive.
    """
    left, right = _logs(old), _logs(new)
    if len(left) < 2 or len(right) < 2:
        return None
    u, v = statistics.variance(left) / len(left), statistics.variance(right) / len(right)
    # Without any scatter the degrees of freedom are 0 / 0; they do not matter then.
    weight = u**2 / (len(left) - 1) + v**2 / (len(right) - 1)
    freedom = (u + v) ** 2 / weight if weight else 1.0
    return _around(statistics.fmean(right) - statistics.fmean(left), u + v, freedom, confidence)


def geometric_mean(values: Sequence[float]) -> float:
    """Raises ValueError without values, or for one that is not positive."""
    logs = _logs(values)
    if not logs:
        raise ValueError("no values")
    return math.exp(statistics.fmean(logs))


def student_quantile(freedom: float, probability: float) -> float:
    """Of Student's t distribution; the degrees of freedom need not be whole."""
    # Half a second, which a command that needs no interval does not wait for.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _around(mean: float, squared_error: float, freedom: float, confidence: float) -> Interval:
    half = student_quantile(freedom, (1 + confidence) / 2) * math.sqrt(squared_error)
    return Interval(low=math.exp(mean - half), high=math.exp(mean + half))


def _logs(values: Sequence[float]) -> list[float]:
    if any(not value > 0 for value in values):
        raise ValueError("a value is not positive")
    return [math.log(value) for value in values]
