"""Two sets of answers to the same questions: McNemar's exact test."""

from __future__ import annotations

from math import exp, lgamma, log

import numpy as np

from .answers import HostAnswers, asked, right
from .model import Paired


def compare_answers(here: HostAnswers, there: HostAnswers, group: str, host: str) -> Paired | None:
    """None where they were not asked the same questions.

    Q. McNemar, Psychometrika 12 (1947): under no difference, each question that only one side
    answers rightly is as likely to be of the one as of the other.
    """
    if (here.questions, here.sizes) != (there.questions, there.sizes):
        return None
    both = asked(here) & asked(there)
    questions = int(both.sum())
    if not questions:
        return None
    mine, theirs = right(here)[both], right(there)[both]
    only_here = int(np.count_nonzero(mine & ~theirs))
    only_there = int(np.count_nonzero(theirs & ~mine))
    return Paired(
        group=group,
        host=host,
        questions=questions,
        only_here=only_here,
        only_there=only_there,
        difference=round(100 * (only_here - only_there) / questions, 4),
        p_value=round(exact_p(only_here, only_there), 6),
    )


def exact_p(one: int, other: int) -> float:
    """Two-sided probability of so uneven a split of ``one`` + ``other`` fair coins, or more."""
    total, least = one + other, min(one, other)
    if total == 0:
        return 1.0
    tail = sum(exp(_log_choose(total, k) - total * log(2)) for k in range(least + 1))
    return min(1.0, 2 * tail)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
