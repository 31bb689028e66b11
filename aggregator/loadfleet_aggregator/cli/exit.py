"""What a command says beside its answer, and how it refuses wrong input."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from ..text.terminal import printable

BAD_INPUT = 2


def tell_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def refuse(message: str) -> NoReturn:
    """Ends the command for wrong input: lines that say what, where and what to do."""
    for line in message.splitlines():
        tell_on_stderr(f"loadfleet: {printable(line)}")
    raise typer.Exit(BAD_INPUT)
