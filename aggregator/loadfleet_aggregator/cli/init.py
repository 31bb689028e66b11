"""loadfleet init: a first inventory."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer
from loadfleet_agent.contract.roofline import Precision

from .exit import refuse, tell_on_stderr

app = typer.Typer()


@app.command(epilog="Example: loadfleet init 10.0.0.11 10.0.0.12 --user ubuntu --output fleet")
def init(
    hosts: Annotated[
        list[str],
        typer.Argument(
            help="[NAME=][USER@]ADDRESS[:PORT] each; ranges as gpu-[01:08]; localhost is this "
            "machine."
        ),
    ],
    user: Annotated[str | None, typer.Option(help="Who logs in. Default: as ssh does.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of sshd there.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key. Default: as ssh does.")] = None,
    jump: Annotated[str | None, typer.Option(help="[USER@]HOST to go through.")] = None,
    become: Annotated[
        bool | None,
        typer.Option("--become/--no-become", help="sudo there. Default: unless root logs in."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of the hub, or a folder on the hosts. Default: MLPerf's.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Of that model: a commit.")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of its weights. Default: by its name.")
    ] = None,
    scan: Annotated[
        bool, typer.Option("--scan/--no-scan", help="Look at the hosts' GPUs first.")
    ] = True,
    timeout: Annotated[int, typer.Option(min=5, help="Seconds a host may take to answer.")] = 60,
    output: Annotated[Path, typer.Option(help="Folder of the inventory.")] = Path("inventory"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is there; a copy is kept.")
    ] = False,
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a first inventory from addresses, with a profile that fits the GPUs there, and say why.

    It is proved as a run would read it before it is written. Hosts that are not reached are
    written too, with the reason.

    Exit code 0: written; 1: written, and a host was not reached or cannot run it; 2: the input is
    wrong, and nothing is written.
    """
    from ..fleet.settings import InventoryError
    from ..hosts.inventory import require_project
    from ..init.build import MODEL, InitRefused, Request, make_inventory
    from ..init.choose import NoProfile
    from ..init.render import report_lines
    from ..init.scan import ScanError
    from ..init.targets import TargetError, parse_targets
    from ..init.write import Connection

    if key is not None and not key.expanduser().is_file():
        refuse(f"--key {key}: not there; give the file of a private key")
    if revision is not None and model is None:
        refuse("--revision: give --model with it")
    try:
        targets = parse_targets(hosts, user=user, port=port)
        login = user or (None if any(not target.local for target in targets) else _own_user())
        request = Request(
            project=require_project(project),
            output=output,
            targets=targets,
            connection=Connection(
                user=user,
                port=port,
                key=None if key is None else str(key.expanduser().resolve()),
                jump=jump,
                become=login != "root" if become is None else become,
            ),
            model=model or MODEL,
            revision=revision,
            precision=precision,
            scan=scan,
            force=force,
            timeout_s=timeout,
        )
        if scan:
            tell_on_stderr(f"looking at {len(targets)} hosts ...")
        report = make_inventory(request)
    except (InventoryError, TargetError, NoProfile, InitRefused, ScanError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename or output}: {error.strerror}; nothing was written")
    print(report.model_dump_json(indent=2) if json_ else "\n".join(report_lines(report)))
    raise typer.Exit(report.exit_code)


def _own_user() -> str:
    return getpass.getuser()
