"""How a command ends: its exit code, and a failure on one line or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from ..contract.status import FailureCode, make_failure
from ..failure import RunFailure, explain_os_error
from .output import print_json

VALID, NOT_VALID, BAD_INPUT = 0, 1, 2
"""Exit codes: valid; finished or failed, but not valid; the input is wrong."""


def refuse(message: str) -> NoReturn:
    """Ends the command for wrong input."""
    print(f"loadfleet-agent: {message}", file=sys.stderr)
    raise typer.Exit(BAD_INPUT)


def fail(command: str, code: FailureCode, message: str, json_: bool) -> NoReturn:
    """Ends the command for a failure, with what to do about it."""
    failure = make_failure(code, command, message)
    if json_:
        print_json({"failure": failure})
    else:
        print(f"loadfleet-agent: {message} [{code.value}]: {failure.hint}", file=sys.stderr)
    raise typer.Exit(NOT_VALID)


def guarded(work: Callable[[], None], command: str, json_: bool) -> None:
    """Turns a failure into one line (or JSON) and an exit code."""
    try:
        work()
    except ImportError as error:
        fail(command, FailureCode.PACKAGE_MISSING, str(error), json_)
    except OSError as error:
        code, message = explain_os_error(error, Path(command))
        fail(command, code, message, json_)
    except RunFailure as error:
        fail(command, error.code, error.message, json_)
