"""Distributions of a value over samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .contract.distribution import Distribution


def distribution(values: Sequence[float] | np.ndarray) -> Distribution:
    """Count, extremes, mean and percentiles (nearest rank, as LoadGen takes them).

    Raises ValueError if there is no value.
    """
    array = np.sort(np.asarray(values, dtype=np.float64))
    if not array.size:
        raise ValueError("no values")

    def rank(fraction: float) -> float:
        return float(array[min(array.size - 1, int(fraction * array.size))])

    return Distribution(
        count=int(array.size),
        minimum=float(array[0]),
        mean=float(array.mean()),
        p50=rank(0.5),
        p90=rank(0.9),
        p99=rank(0.99),
        maximum=float(array[-1]),
    )
