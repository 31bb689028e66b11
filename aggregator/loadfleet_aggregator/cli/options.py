"""Options that several commands have: which hosts, of which project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from loadfleet_agent.contract.base import NAME_PATTERN

from .exit import refuse

if TYPE_CHECKING:
    from ..hosts.inventory import Fleet, Selection

Inventory = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory", "-i", help="As of ansible-playbook; again for more. Default: inventory/."
    ),
]
Limit = Annotated[
    str | None, typer.Option("--limit", "-l", help="Hosts or groups, as of ansible-playbook.")
]
ExtraVars = Annotated[
    list[str] | None,
    typer.Option("--extra-vars", "-e", help="As of ansible-playbook; again for more."),
]
VaultPasswordFile = Annotated[
    str | None, typer.Option(help="As of ansible-playbook, where the inventory has a vault.")
]
Project = Annotated[Path, typer.Option(help="The project's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[str | None, typer.Argument(help="A run's id. Default: each host's newest.")]
Parallel = Annotated[int, typer.Option(help="So many hosts at a time.", min=1)]


def make_selection(
    inventory: Sequence[str] | None,
    limit: str | None,
    extra_vars: Sequence[str] | None,
    vault_password_file: str | None,
) -> Selection:
    from ..hosts.inventory import Selection

    return Selection(
        inventory=tuple(inventory or ()),
        limit=limit,
        extra_vars=tuple(extra_vars or ()),
        vault_password_file=vault_password_file,
    )


def selected(selection: Selection, project: Path) -> Fleet:
    """The hosts, or the end of the command with a line that says why there are none."""
    from ..fleet.settings import InventoryError
    from ..hosts.inventory import read_fleet

    try:
        return read_fleet(selection, project)
    except InventoryError as error:
        refuse(str(error))


def checked_run(run: str | None) -> str | None:
    """A run's id that may stand in a path; a path below results/ is taken for its last part."""
    import re

    if run is None:
        return None
    name = run.rstrip("/").rpartition("/")[2]
    if not re.match(NAME_PATTERN, name):
        refuse(f"{run!r}: no run id: letters, digits, dot, dash and underscore")
    return name
