"""The labels of a result: what keeps its numbers from counting as MLPerf."""

from __future__ import annotations

from .plan import RunPlan
from .result import DatasetFacts


def result_labels(plan: RunPlan, dataset: DatasetFacts | None) -> tuple[str, ...]:
    """By the plan and the dataset that was really used; by the plan alone if none was yet.

    Empty if nothing keeps the numbers from counting.
    """
    return plan.labels if dataset is None else plan.labels_with(dataset.label)
