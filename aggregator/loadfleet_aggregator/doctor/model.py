"""What a check found, and all of them as one document."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from loadfleet_agent.contract.base import Document, Frozen, UtcTime
from pydantic import Field, computed_field, model_validator

CONTROLLER = "controller"
"""The place of checks that concern no single host. No host can take it: see ``Check.place``."""


class Severity(StrEnum):
    """From the worst to the best."""

    ERROR = "error"
    """The next command cannot work so."""
    WARNING = "warning"
    """It works; its result, or the next day, may be worse for it."""
    SKIPPED = "skipped"
    """Not asked, with the reason in ``found``."""
    OK = "ok"


class Check(Frozen):
    """One check of one place, with what it found."""

    id: str = Field(description="of the catalogue, e.g. driver")
    title: str
    place: str = Field(description="a host's name in the inventory, or controller")
    is_host: bool = Field(description="whether the place is a host")
    severity: Severity
    found: str
    remedy: str = Field(default="", description="what to do; with an error or a warning")

    @model_validator(mode="after")
    def _says_what_to_do(self) -> Check:
        if self.severity in (Severity.ERROR, Severity.WARNING) and not self.remedy:
            raise ValueError(f"check {self.id} has a finding without a remedy")
        return self


class DoctorReport(Document):
    """The answer of ``loadfleet doctor --json``."""

    made_utc: UtcTime
    project: str
    inventory: tuple[str, ...] = Field(description="none: that of ansible.cfg")
    remote: bool = Field(description="whether the hosts were asked")
    online: bool = Field(description="whether the hub was asked for the model")
    checks: tuple[Check, ...] = Field(description="controller first, then hosts in their order")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def errors(self) -> int:
        return sum(check.severity is Severity.ERROR for check in self.checks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def warnings(self) -> int:
        return sum(check.severity is Severity.WARNING for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0: no error; 1: some."""
        return 1 if self.errors else 0


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """By severity; those of one severity stay in their order."""
    order = list(Severity)
    return sorted(checks, key=lambda check: order.index(check.severity))
