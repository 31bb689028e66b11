"""The one exception by which a phase ends a run with a reason."""

from __future__ import annotations

from .contract.status import FailureCode


class RunFailure(Exception):
    """A run cannot go on. ``code`` is stable; the text says what and where."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
