"""What is told of hosts that want a look, and by which figures they are compared."""

from __future__ import annotations

from typing import Literal

from loadfleet_agent.contract.base import Frozen
from pydantic import Field

LEAST_GAP = 0.03
"""Share of the others' speed under which a difference is not worth a word."""


class Speed(Frozen):
    """One performance figure of one host."""

    metric: str = Field(description="e.g. Offline tokens/s; larger is better")
    value: float = Field(gt=0)
    work: float = Field(gt=0, description="mean tokens of a sample, prompt and answer")


class Reason(Frozen):
    """A rule that a host breaks, with its value and the others'."""

    cause: str
    fact: str
    value: str
    others: str = Field(description="what most hosts have, or the limit")
    hint: str


class Flag(Frozen):
    """A host that wants a look."""

    host: str
    kind: Literal["straggler", "fault", "odd one out", "suspiciously fast", "uneven work"]
    metric: str = Field(description="by which it was found; '' by a fact alone")
    gap: float | None = Field(description="share of the median that is missing; below 0: faster")
    z: float | None = Field(description="robust z; None under five hosts")
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        causes = ", ".join(dict.fromkeys(reason.cause for reason in self.reasons))
        if self.gap is None or abs(self.gap) <= LEAST_GAP:
            return causes or self.kind
        speed = f"{abs(self.gap):.1%} {'slower' if self.gap > 0 else 'faster'} than the others"
        if self.kind == "uneven work":
            return f"{speed}, but its samples are not as long as theirs"
        return f"{speed}: {causes or 'no fact tells why'}"


class FleetFinding(Frozen):
    """A fault that most hosts share."""

    cause: str
    fact: str
    hosts: int
    of: int
    hint: str
    group: str = Field(default="", description="of the hosts with one plan")
