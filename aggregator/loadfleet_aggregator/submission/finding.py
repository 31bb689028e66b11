"""What stands between a run and a submission package: one line each, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

from loadfleet_agent.contract.base import Frozen


class Finding(Frozen):
    """Something that is missing or wrong: where, what, and what to do about it."""

    where: str
    what: str
    todo: str
    rehearsable: bool = False
    """Whether a rehearsal may have it: the logs are whole and true, but of something that the
    division does not take."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.todo}"


class SubmissionRefused(ValueError):
    """There is no package; ``findings`` are all the reasons, in the order of the hosts."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)
