"""A host's answers to MMLU, a byte a question, so that those of a large fleet fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
"""A question each, subjects in the order of their names, each by the questions' index."""

NOT_ASKED = 0
NO_LETTER = 5
"""The letters are 1 to 4."""
ANSWER = 0b0111
RIGHT = 0b1000


@dataclass(frozen=True)
class HostAnswers:
    """Of one host to one task."""

    questions: str
    """Hash of the data: only answers to the same questions are comparable."""
    sizes: tuple[tuple[str, int], ...]
    """Subjects in their order, and how many questions each has on all shards."""
    codes: Codes


def asked(answers: HostAnswers) -> Mask:
    """Which questions were asked of it."""
    mask: Mask = np.not_equal(answers.codes & ANSWER, NOT_ASKED)
    return mask


def right(answers: HostAnswers) -> Mask:
    """Which it answered rightly."""
    mask: Mask = np.not_equal(answers.codes & RIGHT, 0)
    return mask


def comparable(told: Mapping[str, HostAnswers]) -> dict[str, HostAnswers]:
    """Those of the hosts that were asked of the questions that most were asked of; of two sets as
    many, the one of the lower hash."""
    if not told:
        return {}
    keys = [(item.questions, item.sizes) for item in told.values()]
    most = min(set(keys), key=lambda key: (-keys.count(key), key))
    return {name: item for name, item in told.items() if (item.questions, item.sizes) == most}


@dataclass(frozen=True)
class AnswerAgreement:
    """How far hosts give the same answers, which under greedy decoding all should."""

    compared: int
    """Questions that two hosts or more answered."""
    identical: float
    """Share of them with one answer on all."""
    hosts: dict[str, float]
    """Host to the share of its compared answers that are those of most hosts."""


def agreement(told: Mapping[str, HostAnswers]) -> AnswerAgreement | None:
    """Of the answers to the same questions; None where no two hosts answered one.

    Of two answers that as many hosts gave, the earlier letter is that of most.
    """
    told = comparable(told)
    if len(told) < 2:
        return None
    length = next(iter(told.values())).codes.size
    votes = np.zeros((NO_LETTER + 1, length), dtype=np.uint16)
    for answers in told.values():
        votes[answers.codes & ANSWER, np.arange(length)] += 1
    votes = votes[1:]
    compared = votes.sum(axis=0) >= 2
    if not compared.any():
        return None
    most = votes.argmax(axis=0).astype(np.uint8) + 1
    identical = votes.max(axis=0)[compared] == votes.sum(axis=0)[compared]
    shares = {}
    for name, answers in told.items():
        mine = asked(answers) & compared
        if mine.any():
            shares[name] = float(np.mean((answers.codes & ANSWER)[mine] == most[mine]))
    return AnswerAgreement(
        compared=int(compared.sum()), identical=float(np.mean(identical)), hosts=shares
    )


def whole(told: Sequence[HostAnswers]) -> HostAnswers | None:
    """The answers of several shards as those of one host; None where one is missing, or where the
    shards were not asked the same questions."""
    if not told or any(
        (item.questions, item.sizes) != (told[0].questions, told[0].sizes) for item in told
    ):
        return None
    if (np.sum([asked(item) for item in told], axis=0) != 1).any():
        return None
    joined = np.bitwise_or.reduce([item.codes for item in told])
    return HostAnswers(told[0].questions, told[0].sizes, joined)
