"""loadfleet watch: a run that goes on, live."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    ExtraVars,
    Inventory,
    Limit,
    Parallel,
    Project,
    Run,
    VaultPasswordFile,
    checked_run,
    make_selection,
    selected,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..operate.live import HostLive
    from ..operate.poll import Poller

app = typer.Typer()

LINES_S = 10.0
"""Without a terminal: a host's line at most so often, as ansible-playbook shows it."""


@app.command(epilog="Example: loadfleet watch -i inventory/ --limit gpu-01,gpu-02")
def watch(
    run: Run = None,
    inventory: Inventory = None,
    limit: Limit = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    every: Annotated[float, typer.Option(help="Seconds between looks at a host.", min=0.2)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end.")] = False,
    parallel: Parallel = 32,
    json_: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a look, each on a line.")
    ] = False,
    project: Project = Path(),
) -> None:
    """Show how far each host is, until all have ended; q or Ctrl-C leaves. Only reads.

    Exit code 0: all hosts have done their run, or you left; 1: some host failed, stopped or was
    not reached; with --once: was not reached.
    """
    from ..hosts.links import Links
    from ..operate.poll import Poller

    run_id = checked_run(run)
    fleet = selected(make_selection(inventory, limit, extra_vars, vault_password_file), project)
    with Links(fleet.hosts, parallel) as links:
        poller = Poller(links, run_id, every)
        try:
            if once:
                code = _once(poller, json_)
            elif json_:
                code = _documents(poller, every)
            elif sys.stdout.isatty():
                code = _screen(poller)
            else:
                code = _lines(poller)
        except KeyboardInterrupt:
            code = 0
    raise typer.Exit(code)


def _once(poller: Poller, json_: bool) -> int:
    from ..operate.live import LiveState
    from ..operate.table import line, summary

    rows = poller.look_once()
    if json_:
        print(_document(rows), flush=True)
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        print("\n".join([summary(rows), *map(line, rows)]))
    return int(any(row.state is LiveState.UNREACHABLE for row in rows))


def _documents(poller: Poller, every: float) -> int:
    from ..operate.poll import all_ended

    while True:
        rows = poller.look_once()
        print(_document(rows), flush=True)
        if all_ended(rows):
            return _ended(rows)
        time.sleep(every)


def _lines(poller: Poller) -> int:
    from ..fleet.progress import Progress
    from ..operate.poll import all_ended
    from ..operate.table import line

    told: dict[str, Progress] = {}
    last: list[HostLive] = []
    while not all_ended(last):
        last = poller.look_once()
        for row in last:
            every = 0.0 if row.state.ended else LINES_S
            progress = told.get(row.host)
            if progress is None or row.state.ended:
                progress = told[row.host] = Progress(row.host, every, _print)
            progress.tell(line(row).partition(": ")[2])
        if not all_ended(last):
            time.sleep(LINES_S)
    return _ended(last)


def _screen(poller: Poller) -> int:
    from ..operate.poll import all_ended
    from ..operate.screen import Screen, keys
    from ..operate.table import live_table, summary

    count = len(poller.hosts)
    with keys() as key, Screen() as screen:
        while True:
            poller.start_due()
            rows = poller.rows()
            ended = len(rows) == count and all_ended(rows)
            foot = "" if ended else "q leaves; the hosts go on"
            head = summary(rows) if rows else f"asking {count} hosts"
            screen.draw(head, partial(live_table, rows), foot)
            if ended:
                return _ended(rows)
            if key(0.25) == "q":
                return 0


def _print_table(rows: Sequence[HostLive]) -> None:
    from rich.console import Console

    from ..operate.table import live_table, summary

    console = Console(highlight=False, markup=False)
    print(summary(rows))
    console.print(live_table(rows, console.width, len(rows) + 2))


def _print(text: str) -> None:
    print(text, flush=True)


def _ended(rows: Sequence[HostLive]) -> int:
    from ..operate.live import LiveState

    return int(any(row.state is not LiveState.DONE for row in rows))


def _document(rows: Sequence[HostLive]) -> str:
    import json

    from loadfleet_agent.contract.base import utc_now

    hosts = [row.model_dump(mode="json") for row in rows]
    return json.dumps({"at_utc": utc_now().isoformat(), "hosts": hosts})
