"""loadfleet logs, exec and stop: what is asked of the hosts themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .exit import refuse, tell_on_stderr
from .options import (
    ExtraVars,
    Inventory,
    Json,
    Limit,
    Parallel,
    Project,
    Run,
    VaultPasswordFile,
    checked_run,
    make_selection,
    selected,
)

app = typer.Typer()


@app.command(epilog="Example: loadfleet logs gpu-01 -f --engine")
def logs(
    host: Annotated[str, typer.Argument(help="The inventory's name of it.")],
    run: Annotated[str | None, typer.Option(help="A run's id. Default: the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="So many of the last.", min=0)] = 50,
    engine: Annotated[bool, typer.Option("--engine", help="vLLM's log.")] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Phases, warnings and errors, with their hints.")
    ] = False,
    inventory: Inventory = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    project: Project = Path(),
) -> None:
    """Show a log of a run on a host: the agent's, the engine's or the events. Only reads.

    Exit code 0: shown, or you left with Ctrl-C; 1: there is none, or the host was not reached.
    """
    from ..hosts.link import LinkError
    from ..hosts.links import Links
    from ..operate.logs import LogKind, LogLines, log_command

    if engine and events:
        refuse("--engine and --events: give one of them")
    kind = LogKind.ENGINE if engine else LogKind.EVENTS if events else LogKind.AGENT
    run_id = checked_run(run)
    fleet = selected(make_selection(inventory, host, extra_vars, vault_password_file), project)
    if len(fleet.hosts) != 1:
        refuse(f"{host}: {len(fleet.hosts)} hosts; name one")
    (one,) = fleet.hosts
    command = log_command(one.home, run_id, kind, lines=lines, follow=follow)
    shown = LogLines(kind)
    code: int | None = 0
    try:
        with Links([one]) as links:
            # The agent's own log is for its user alone, as it may hold a prompt.
            become = kind is not LogKind.EVENTS
            limit_s = None if follow else 60.0
            for piece in links.stream(one, command, become=become, limit_s=limit_s):
                code = piece.code
                for line in shown.take(piece.data, is_error=piece.is_error):
                    print(line, flush=follow)
    except KeyboardInterrupt:
        code = 0
    except LinkError as error:
        tell_on_stderr(f"loadfleet: {one.name}: {error}")
        code = 1
    if code and shown.error:
        tell_on_stderr(f"loadfleet: {one.name}: {shown.error}")
    raise typer.Exit(1 if code else 0)


@app.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    epilog="Example: loadfleet exec --limit gpu-01,gpu-02 -- nvidia-smi -L",
)
def exec_(
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    inventory: Inventory = None,
    limit: Limit = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    parallel: Parallel = 32,
    timeout: Annotated[float, typer.Option(help="Seconds for one host.", min=1)] = 300.0,
    json_: Json = False,
    project: Project = Path(),
) -> None:
    """Run a command on the hosts, as the inventory's user with its become. It may change them!

    One word is a line for the shell; several are a command and its arguments. Nothing is asked.

    Exit code 0: it ended with 0 on every host; 1: on some it did not, or a host was not reached.
    """
    import shlex

    from ..hosts.links import Answer, Links
    from ..text.terminal import printable, printable_line

    fleet = selected(make_selection(inventory, limit, extra_vars, vault_password_file), project)
    line = command[0] if len(command) == 1 else shlex.join(command)

    def show(answer: Answer) -> None:
        name = printable(answer.host.name)
        for text in answer.stdout.splitlines():
            print(f"{name} | {printable_line(text)}", flush=True)
        for text in answer.stderr.splitlines():
            tell_on_stderr(f"{name} | {printable_line(text)}")
        if not answer.reached:
            tell_on_stderr(f"{name}: {printable(answer.failure)}")
        elif answer.code:
            tell_on_stderr(f"{name}: ended with {answer.code}")

    with Links(fleet.hosts, parallel) as links:
        answers = links.ask(
            line, become=True, limit_s=timeout, tell=(lambda _: None) if json_ else show
        )
    if json_:
        told = [
            {
                "host": answer.host.name,
                "code": answer.code,
                "stdout": answer.stdout,
                "stderr": answer.stderr,
                "failure": answer.failure,
            }
            for answer in answers
        ]
        print(json.dumps({"hosts": told}, indent=2))
    raise typer.Exit(0 if all(answer.code == 0 for answer in answers) else 1)


@app.command(epilog="Example: loadfleet stop --limit gpu-01")
def stop(
    run: Run = None,
    inventory: Inventory = None,
    limit: Limit = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    parallel: Parallel = 32,
    json_: Json = False,
    project: Project = Path(),
) -> None:
    """End the run on the hosts, in order: LoadGen flushed, engine stopped, a result written.

    Each host's own agent does it; finished phases are kept, and loadfleet run goes on after them.
    Where nothing runs nothing is done.

    Exit code 0: nothing runs any more; 1: some host could not be stopped or reached.
    """
    from ..hosts.links import Links
    from ..operate.stop import Stopped, stop_runs, stopped_json
    from ..text.terminal import printable

    run_id = checked_run(run)
    fleet = selected(make_selection(inventory, limit, extra_vars, vault_password_file), project)

    def show(one: Stopped) -> None:
        if not json_:
            print(printable(one), flush=True)

    with Links(fleet.hosts, parallel) as links:
        stopped = stop_runs(links, dict.fromkeys((h.name for h in fleet.hosts), run_id), show)
    if json_:
        print(stopped_json(stopped))
    sys.stdout.flush()
    raise typer.Exit(int(any(one.state == "failed" for one in stopped)))
