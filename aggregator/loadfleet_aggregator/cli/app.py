"""The command itself: its parts in the order of its help, and its version."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from .. import __version__
from .compare import app as compare
from .deploy import app as deploy
from .doctor import app as doctor
from .hosts import app as hosts
from .init import app as init
from .keep import app as keep
from .report import app as report
from .run import app as run
from .submission import app as submission
from .watch import app as watch

app = typer.Typer(
    name="loadfleet",
    help="Benchmarks a fleet of GPU hosts at Llama-3.1-8B and reports on it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for part in (
    init,
    doctor,
    run,
    watch,
    hosts,
    keep,
    report,
    compare,
    submission,
    deploy,
):
    app.add_typer(part)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"loadfleet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    return None


def main() -> None:
    """Entry point of the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A host's words are no reason to fail on a terminal that lacks a letter of them.
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
