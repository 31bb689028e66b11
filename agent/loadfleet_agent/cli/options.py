"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option("--home", envvar="LOADFLEET_HOME", help="Data folder: runs, caches, locks."),
]
DEFAULT_HOME = Path("/var/lib/loadfleet")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PlanFile = Annotated[
    str | None, typer.Option("--plan", help="A resolved plan (JSON file), or - for stdin.")
]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="Settings as a YAML file; see docs/settings.md.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, e.g. --set engine.max_num_seqs=64. Repeatable."),
]
TokenFile = Annotated[
    Path | None, typer.Option(help="File that holds a token for the hub, if it asks for one.")
]
RunId = Annotated[
    str | None, typer.Option("--run-id", help="Default: the run that was started last.")
]
