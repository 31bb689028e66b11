"""MLPerf's compliance test TEST06: the tokens of the answers are what was told of them.

The checks are those of ``compliance/TEST06/run_verification.py`` in mlcommons/inference at
b66003e1, with two differences: it reads its end-of-sequence id from the command line as text,
which equals no token, and by default looks for the id of another model (2). Ours are the model's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..contract.benchmark import Scenario
from ..contract.result import Test06
from .accuracy_log import LoggedAnswer


def verify_test06(
    answers: Sequence[LoggedAnswer], scenario: Scenario, stop_token_ids: Collection[int]
) -> Test06:
    """The three checks over all logged answers."""
    return Test06(
        samples=len(answers),
        first_token=all(_first_token_is_right(answer) for answer in answers)
        if scenario.streams
        else None,
        eos=all(_trailing(answer.tokens, stop_token_ids) < 2 for answer in answers),
        sample_length=all(answer.token_count == len(answer.tokens) for answer in answers),
    )


def _first_token_is_right(answer: LoggedAnswer) -> bool:
    told = answer.first_token
    return bool(told) and answer.tokens[: len(told)] == told


def _trailing(tokens: Sequence[int], stop_token_ids: Collection[int]) -> int:
    """How many end-of-sequence tokens the answer ends with; its first token is not looked at,
    as in the official script."""
    count = 0
    for token in reversed(tokens[1:]):
        if token not in stop_token_ids:
            break
        count += 1
    return count


def verify_text(verified: Test06) -> str:
    """verify_accuracy.txt as the official script writes it and the submission checker reads it."""
    first = "Skipped" if verified.first_token is None else verified.first_token
    end = "complete" if verified.passed else "failed"
    return (
        f"First token check pass: {first}\n"
        f"EOS check pass: {verified.eos}\n"
        f"Sample length check pass: {verified.sample_length}\n"
        f"TEST06 verification {end}\n"
    )
