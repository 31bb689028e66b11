"""Holds a ROUGE score against MLPerf's targets, or says why they do not apply."""

from __future__ import annotations

from ..contract.benchmark import ACCURACY_TARGET, Scenario
from ..contract.plan import RunPlan
from ..contract.result import Accuracy, RougeScore


def judge_accuracy(plan: RunPlan, scenario: Scenario, score: RougeScore) -> Accuracy:
    """Pass at 99 % of each ROUGE reference and 90 % to 110 % of its length, all samples."""
    if plan.labels:
        return Accuracy(
            scenario=scenario,
            score=score,
            applicable=False,
            reason="not applicable: " + ", ".join(plan.labels),
            passed=None,
        )
    missed = [
        f"{name} {getattr(score, name):.4f} below {least:.4f}"
        for name, least in ACCURACY_TARGET.rouge_minimum.items()
        if getattr(score, name) < least
    ]
    low, high = ACCURACY_TARGET.gen_len_range
    if not low <= score.gen_len <= high:
        missed.append(f"gen_len {score.gen_len} outside {low:.1f} to {high:.1f} characters")
    if score.gen_num != ACCURACY_TARGET.samples:
        missed.append(f"{score.gen_num} samples, not {ACCURACY_TARGET.samples}")
    return Accuracy(
        scenario=scenario,
        score=score,
        applicable=True,
        reason="; ".join(missed),
        passed=not missed,
    )
