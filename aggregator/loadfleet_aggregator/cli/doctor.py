"""loadfleet doctor: what stands against the next command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exit import refuse

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet doctor --remote --inventory inventory/",
    context_settings={"allow_interspersed_args": True},
)
def doctor(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- ANSIBLE...]",
            help="After --: more of ansible-playbook's, as --ask-become-pass.",
        ),
    ] = None,
    inventory: Annotated[
        list[Path] | None,
        typer.Option("--inventory", "-i", help="Default: that of ansible.cfg, inventory/."),
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--limit", "-l", help="Pattern of the hosts to look at.")
    ] = None,
    extra_vars: Annotated[
        list[str] | None, typer.Option("--extra-vars", "-e", help="As ansible-playbook's.")
    ] = None,
    vault_password_file: Annotated[Path | None, typer.Option(help="As ansible-playbook's.")] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Ask the hosts too, over their own connections.")
    ] = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Ask the hub whether the token reads the model; with --remote from each host.",
        ),
    ] = False,
    timeout: Annotated[
        int, typer.Option(min=5, help="Seconds that a host may take for each of 5 looks.")
    ] = 120,
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    every: Annotated[
        bool, typer.Option("--all", help="Show what is well, too, a line each.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the controller, its inventory and, with --remote, the hosts; changes nothing.

    Each finding comes with its remedy. What is checked: docs/doctor.md.

    Exit code 0: no error, warnings aside; 1: some error; 2: the input is wrong.
    """
    from rich.console import Console

    from ..doctor.ask import Question
    from ..doctor.examine import NoHosts, examine
    from ..doctor.render import show
    from ..fleet.settings import InventoryError
    from ..hosts.inventory import Selection, require_project

    for path in inventory or ():
        if not path.exists() and "," not in str(path):
            refuse(f"--inventory {path}: not there; give the file or folder of an inventory")
    try:
        report = examine(
            Question(
                project=require_project(project),
                selection=Selection(
                    inventory=tuple(_whole(path) for path in inventory or ()),
                    limit=limit,
                    extra_vars=tuple(extra_vars or ()),
                    vault_password_file=None
                    if vault_password_file is None
                    else str(vault_password_file.expanduser().resolve()),
                ),
                remote=remote,
                online=online,
                timeout_s=timeout,
                arguments=tuple(arguments or ()),
            )
        )
    except InventoryError as error:
        refuse(str(error))
    except NoHosts as error:
        refuse(f"{error}: mend --limit {limit}" if limit else f"{error}: name hosts in it")
    if json_:
        print(report.model_dump_json(indent=2))
    else:
        show(report, Console(), every=every)
    raise typer.Exit(report.exit_code)


def _whole(path: Path) -> str:
    """For a command that runs in the project's folder; a list of hosts (``a,``) is no path."""
    return str(path.resolve()) if path.exists() else str(path)
