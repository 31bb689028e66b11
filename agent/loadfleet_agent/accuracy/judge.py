"""Holds a ROUGE score against MLPerf's targets, or says why they do not apply."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract.benchmark import ACCURACY_TARGETS, Scenario, Suite
from ..contract.result import Accuracy, RougeScore


def judge_accuracy(
    suite: Suite, scenario: Scenario, score: RougeScore, labels: Sequence[str]
) -> Accuracy:
    """Pass at 99 % of each ROUGE reference and 90 % to 110 % of its length, all samples.

    Not applicable to a result with ``labels``.
    """
    if labels:
        return Accuracy(
            scenario=scenario,
            score=score,
            applicable=False,
            reason="not applicable: " + ", ".join(labels),
            passed=None,
        )
    target = ACCURACY_TARGETS[suite]
    missed = score.missed(target)
    if score.gen_num != target.samples:
        missed.append(f"{score.gen_num} samples, not {target.samples}")
    return Accuracy(
        scenario=scenario,
        score=score,
        applicable=True,
        reason="; ".join(missed),
        passed=not missed,
    )
