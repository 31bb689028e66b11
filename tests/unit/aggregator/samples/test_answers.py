"""Each sample has one answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from loadfleet_aggregator.samples.answers import NONE, answers_by_sample
from loadfleet_aggregator.samples.read import Samples, SamplesError

from .made import samples_of


def answered(index: list[int], answers: list[int]) -> Samples:
    return replace(
        samples_of([1] * len(index)),
        index=np.array(index, dtype=np.uint32),
        answers=np.array(answers, dtype=np.uint64),
    )


def test_stand_at_their_samples_place() -> None:
    assert answers_by_sample(answered([2, 0, 3], [7, 8, 2**64 - 1])).tolist() == [
        8, int(NONE), 7, 2**64 - 1,
    ]  # fmt: skip


def test_a_hash_of_zeros_is_an_answer() -> None:
    assert answers_by_sample(answered([0], [0])).tolist() != [int(NONE)]


@pytest.mark.parametrize(
    ("index", "words"), [([1, 1], "two answers"), ([0, 2**32 - 1], "no dataset is so large")]
)
def test_what_no_accuracy_run_asks_is_refused(index: list[int], words: str) -> None:
    with pytest.raises(SamplesError, match=words):
        answers_by_sample(answered(index, [1, 2]))
