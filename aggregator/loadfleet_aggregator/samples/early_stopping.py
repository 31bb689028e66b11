"""LoadGen's early stopping: what a finite run proves of a percentile.

After ``loadgen/early_stopping.cc`` and ``PerformanceSummary::EarlyStopping`` in
``loadgen/results.cc`` of mlcommons/inference, with LoadGen's tolerance d = 0 and confidence
c = 0.99. A run of n queries of which t are over a value proves with this confidence that at least
a share p of all queries would be at or below it, if t or fewer of n are over it with a
probability of less than 1 - c where the share is just p: the binomial distribution, which is the
regularised incomplete beta function I_p(n - t, 1 + t).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy.typing as npt
from scipy.special import betainc

CONFIDENCE = 0.99


def percentile_bound(ordered: npt.NDArray[Any], percentile: float) -> float | None:
    """Upper bound of a percentile (0 to 1) from values in rising order; None: too few values.

    LoadGen's "early stopping percentile estimate" of a SingleStream run.
    """
    over = most_over(int(ordered.size), percentile)
    return float(ordered[ordered.size - over]) if over else None


@cache
def most_over(queries: int, percentile: float) -> int:
    """The most queries that may be over a limit that so many queries confirm; 0: too few."""
    low, high = 0, queries
    while high - low > 1:
        middle = (low + high) // 2
        if _is_proof(queries, middle, percentile):
            low = middle
        else:
            high = middle
    return low


def _is_proof(queries: int, over: int, percentile: float) -> bool:
    return bool(betainc(queries - over, 1 + over, percentile) < 1 - CONFIDENCE)
