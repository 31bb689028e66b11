"""What stands between a run and a submission package: one line each, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from loadfleet_agent.contract.base import Frozen


class Flaw(StrEnum):
    """A flaw with which a package may be built where the user says so; there is no other."""

    ACCURACY = "accuracy"


class Finding(Frozen):
    """Something that is missing or wrong: where, what, and what to do about it."""

    where: str
    what: str
    todo: str
    flaw: Flaw | None = None
    """None: nothing but doing it helps."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.todo}"


class SubmissionRefused(ValueError):
    """There is no package; ``findings`` are all the reasons, in the order of the hosts."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)
