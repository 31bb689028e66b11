"""What checks of a host found: each with its cause and what to do, or what was well."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

ERROR = "error"
WARNING = "warning"


class Findings:
    """Filled by checks; ``facts`` is what they read."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []
        self.passed: dict[str, str] = {}
        self.facts: dict[str, Any] = {}

    def error(self, check: str, cause: str, remedy: str) -> None:
        """It cannot work so."""
        self.found.append({"check": check, "severity": ERROR, "cause": cause, "remedy": remedy})

    def warning(self, check: str, cause: str, remedy: str) -> None:
        """It works, and a result may be worse for it."""
        self.found.append({"check": check, "severity": WARNING, "cause": cause, "remedy": remedy})

    def well(self, check: str, text: str) -> None:
        """Nothing stands against it; the text is what was found."""
        self.passed[check] = text

    def run(self, checks: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Makes the checks in turn; one that cannot be made hides none of the others."""
        for name, check in checks:
            try:
                check()
            except Exception:
                error = sys.exc_info()[1]
                self.error(
                    name,
                    f"could not be checked: {type(error).__name__}: {error}",
                    "look at this on the host",
                )

    @property
    def result(self) -> dict[str, Any]:
        """For a module's exit: findings, passed and facts. What has a finding has not passed."""
        against = {finding["check"] for finding in self.found}
        passed = {check: text for check, text in self.passed.items() if check not in against}
        return {"findings": self.found, "passed": passed, "facts": self.facts}
