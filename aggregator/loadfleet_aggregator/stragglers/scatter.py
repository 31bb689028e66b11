"""Speeds of hosts beside one another: centre, robust deviation, and where odd begins.

From five hosts on: robust z = |x - median| / (1.4826 MAD) above 3.5 (Iglewicz and Hoaglin, How to
Detect and Handle Outliers, 1993). That limit is for normal scatter. Where a large fleet shows
heavier tails than that, hosts that nothing is wrong with would pass it by the dozen: from two
hundred hosts on the limit is raised to what one host in a thousand passes on one side, by the
Student t distribution that fits the fleet best (never lowered): its fast side, which slow hosts do
not widen. Fewer than five hosts have no spread worth the name: the gap to the fastest alone is
told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..intervals import student_quantile

LEAST_HOSTS = 5
LIMIT_Z = 3.5
MANY_HOSTS = 200
TAIL = 1 / 1000
"""One-sided probability that a healthy host of a large fleet is flagged by its speed."""
MAD_TO_SIGMA = 1.4826
FREEDOMS = (30.0, 15.0, 10.0, 8.0, 6.0, 5.0, 4.0, 3.5, 3.0)
"""Of Student's t that are told apart; the first is as good as normal."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scatter:
    """Of one metric over the hosts of a group."""

    center: float
    """The median; under five hosts the fastest."""
    sigma: float | None
    """Robust standard deviation; None under five hosts."""
    limit: float
    """Robust z above which a host is odd."""

    def gap(self, value: float) -> float:
        """Share of the centre that is missing; below 0: faster."""
        return 1 - value / self.center

    def z(self, value: float) -> float | None:
        """Robust z; infinite where most hosts are equal, None under five hosts."""
        if self.sigma is None:
            return None
        return abs(value - self.center) / self.sigma if self.sigma > 0 else np.inf


def measure_scatter(values: Sequence[float]) -> Scatter:
    """Of the speeds of at least one host."""
    numbers = np.array(values, dtype=np.float64)
    if numbers.size < LEAST_HOSTS:
        return Scatter(float(numbers.max()), None, 0.0)
    median = float(np.median(numbers))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(numbers - median)))
    return Scatter(median, sigma, _limit(numbers, median))


def _limit(numbers: Floats, median: float) -> float:
    if numbers.size < MANY_HOSTS:
        return LIMIT_Z
    freedom = _tail_freedom(numbers[numbers > median] - median)
    if freedom is None:
        return LIMIT_Z
    # In units of the robust deviation, which is 1.4826 times the median of the absolute values.
    return max(
        LIMIT_Z,
        student_quantile(freedom, 1 - TAIL) / (MAD_TO_SIGMA * student_quantile(freedom, 0.75)),
    )


def _tail_freedom(distances: Floats) -> float | None:
    """Degrees of freedom of the Student t distribution that these distances are likeliest of.

    ``distances`` from the median, on one side of it; each distribution is scaled to their own
    median, so that its tail alone decides. None: as good as normal.
    """
    distances = distances[distances > 0]
    if not distances.size:
        return None
    from scipy.special import gammaln

    def likelihood(freedom: float) -> float:
        scale = float(np.median(distances)) / student_quantile(freedom, 0.75)
        density = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom) / 2
        shape = -(freedom + 1) / 2 * np.log1p((distances / scale) ** 2 / freedom)
        return float(distances.size * (density - np.log(scale)) + shape.sum())

    likeliest = max(FREEDOMS, key=likelihood)
    return None if likeliest == FREEDOMS[0] else likeliest
