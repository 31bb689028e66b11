"""What a command says beside its answer, and how it refuses wrong input."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

BAD_INPUT = 2


def tell_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def refuse(message: str) -> NoReturn:
    """Ends the command for wrong input: one line that says what, where and what to do."""
    tell_on_stderr(f"loadfleet: {message}")
    raise typer.Exit(BAD_INPUT)
