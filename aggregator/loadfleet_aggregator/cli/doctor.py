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
        Path | None,
        typer.Option("--inventory", "-i", help="Default: that of ansible.cfg, inventory/."),
    ] = None,
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
    limit: Annotated[
        str | None, typer.Option("--limit", "-l", help="Pattern of the hosts to look at.")
    ] = None,
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

    from ..doctor.ask import PLAYBOOK, Question
    from ..doctor.examine import NoHosts, examine
    from ..doctor.render import show

    project = project.resolve()
    if not (project / PLAYBOOK).is_file():
        refuse(f"--project {project}: has no {PLAYBOOK}; give the folder of run_benchmark.yml")
    if inventory is not None and not inventory.exists():
        refuse(f"--inventory {inventory}: not there; give the file or folder of an inventory")
    question = Question(
        project=project,
        inventory=None if inventory is None else inventory.resolve(),
        limit=limit,
        remote=remote,
        online=online,
        timeout_s=timeout,
        arguments=tuple(arguments or ()),
    )
    try:
        report = examine(question)
    except NoHosts as error:
        refuse(f"{error}: mend --limit {limit}" if limit else f"{error}: name hosts in it")
    if json_:
        print(report.model_dump_json(indent=2))
    else:
        show(report, Console(), every=every)
    raise typer.Exit(report.exit_code)
