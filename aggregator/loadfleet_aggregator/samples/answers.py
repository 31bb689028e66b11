"""Answers of an accuracy run, by sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .read import Samples, SamplesError

MOST_SAMPLES = 1 << 20
"""Of a dataset."""
NONE = np.uint64(0)
"""In place of the answer to a sample that was not asked. (A hash of zeros is told as one.)"""

Answers = npt.NDArray[np.uint64]
"""First 64 bits of the SHA-256 of each answer, by sample index: shape (highest index + 1,)."""


def answers_by_sample(samples: Samples) -> Answers:
    """Raises SamplesError if a sample has two answers, or an index that no dataset has."""
    if samples.answers is None:
        raise ValueError("read without answers")
    last = int(samples.index.max())
    if last >= MOST_SAMPLES:
        raise SamplesError(f"sample index {last}: no dataset is so large")
    if np.unique(samples.index).size != len(samples):
        raise SamplesError("a sample has two answers in an accuracy run")
    found = np.zeros(last + 1, dtype=np.uint64)
    found[samples.index] = np.maximum(samples.answers, np.uint64(1))
    return found
