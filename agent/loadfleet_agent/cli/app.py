"""The command itself: its parts in the order of its help, and its version."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from .. import __version__
from .download import app as download
from .download_dataset import app as download_dataset
from .download_task import app as download_task
from .existing_run import app as existing_run
from .host import app as host
from .overhead import app as overhead
from .run import app as run
from .tune import app as tune

app = typer.Typer(
    name="loadfleet-agent",
    help="Runs the Llama-3.1-8B benchmark with vLLM under MLPerf LoadGen on this host.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for part in (host, download, download_dataset, download_task, run, existing_run, overhead, tune):
    app.add_typer(part)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"loadfleet-agent {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    # Prompts, answers and logs are nobody else's; what a watcher reads says so itself (FOR_ALL).
    os.umask(0o077)


def main() -> None:
    """Entry point of the command."""
    app()
