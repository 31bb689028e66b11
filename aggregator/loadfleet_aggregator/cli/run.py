"""loadfleet run and provision: the playbooks, with a live table of the fleet."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .exit import BAD_INPUT, tell_on_stderr
from .options import Project
from .playbooks import (
    BENCHMARK,
    LEFT,
    ansible_arguments,
    checked_project,
    give_place,
    make_playbook,
    prune,
    safe,
    shown,
    some_names,
    tell_refusal,
)

if TYPE_CHECKING:
    from ..operate.drive import End
    from ..operate.playbook import Playbook
    from ..operate.run_view import RunView
    from ..operate.screen import Screen

app = typer.Typer()

LOOK_S = 1.0
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

RunJson = Annotated[
    bool, typer.Option("--json", help="At the end print JSON; all else goes to stderr.")
]


@app.command(
    context_settings=PASSED_ON,
    epilog="Example: loadfleet run -i inventory/ --limit gpu-01,gpu-02 "
    "-e loadfleet_length=official",
)
def run(context: typer.Context, json_: RunJson = False, project: Project = Path()) -> None:
    """Run the benchmark: run_benchmark.yml, with a live table.

    Takes ansible-playbook's options: -i, --limit, -e, --forks, --check and the others.

    Ctrl-C once leaves the run to the hosts, which go on; twice stops it there, in order. The same
    command again goes on with it. What Ansible said is kept in results/RUN/ansible/.

    Exit code 0: every selected host is valid; 1: some is not; 2: the input is wrong, nothing was
    started; 130: you left.
    """
    from ..operate.live_files import FOLDER_VARIABLE
    from ..operate.run_view import RunView

    arguments = ansible_arguments(context)
    home = checked_project(project)
    with TemporaryDirectory(prefix="loadfleet-live-") as live:
        playbook = make_playbook(home, BENCHMARK, arguments, {FOLDER_VARIABLE: live})
        view = RunView()
        end = _drive_run(playbook, view, Path(live), json_)
        stopped = _after(end, view, arguments, home)
    prune(playbook)
    _finish_run(playbook, view, end, stopped, json_)


def _drive_run(playbook: Playbook, view: RunView, live: Path, json_: bool) -> End:
    from ..operate.drive import drive
    from ..operate.interrupts import counted_interrupts
    from ..operate.live_files import LiveFolder
    from ..operate.table import live_table, summary

    files, looked = LiveFolder(live), 0.0
    foot = "Ctrl-C leaves the run to the hosts"

    def look(screen: Screen | None) -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_S:
            looked = time.monotonic()
            give_place(playbook, view)
            view.look(files.changed())
        if screen is not None:
            rows = view.rows()
            head = summary(rows) if view.planned else "reading the inventory"
            screen.draw(head, partial(live_table, rows), foot)

    def leaving() -> None:
        nonlocal foot
        foot = "leaving; Ctrl-C again stops the run on the hosts too"
        if json_ or not sys.stdout.isatty():
            tell_on_stderr(foot)

    with counted_interrupts() as interrupts, shown(view, json_) as (screen, listened):
        return drive(playbook, listened, interrupts, lambda: look(screen), leaving)


def _after(end: End, view: RunView, arguments: Sequence[str], project: Path) -> bool:
    """What the user wants after leaving; whether the run was stopped on the hosts."""
    from ..operate.drive import End

    if end is End.ENDED:
        return False
    run_id = view.run_id
    if run_id is None:
        tell_on_stderr("left before a run was planned: nothing was started")
        return False
    if end is End.STOP:
        _stop(view, arguments, project)
        tell_on_stderr(
            "finished phases are kept on the hosts: the same loadfleet run again goes on after them"
        )
        return True
    going = sorted(row.host for row in view.rows() if not row.state.ended)
    begun = [name for name in going if name in view.started]
    rest = [name for name in going if name not in view.started]
    if begun:
        tell_on_stderr(f"run {run_id} goes on by itself on {some_names(begun)}")
    if rest:
        tell_on_stderr(
            f"not come to yet: {some_names(rest)}; what an earlier command began there goes on"
        )
    tell_on_stderr(
        "to come back: the same loadfleet run again\n"
        f"to look on:   loadfleet watch {run_id}\n"
        f"to end it:    loadfleet stop {run_id}"
    )
    return False


def _stop(view: RunView, arguments: Sequence[str], project: Path) -> None:
    from ..hosts.inventory import selection_of
    from ..hosts.links import Links
    from ..operate.interrupts import counted_interrupts
    from ..operate.stop import stop_runs
    from .options import selected

    tell_on_stderr("stopping the run on the hosts, in order: this may take some minutes")
    with counted_interrupts():  # one more Ctrl-C must not leave it half done
        fleet = selected(selection_of(arguments), project)
        # All that were planned: an earlier command may have begun what this one had not come to.
        runs = {row.host: row.run_id or view.run_id for row in view.rows()}
        hosts = [host for host in fleet.hosts if host.name in runs]
        with Links(hosts) as links:
            stop_runs(links, runs, lambda one: tell_on_stderr(str(one)))


def _finish_run(
    playbook: Playbook, view: RunView, end: End, stopped: bool, json_: bool
) -> NoReturn:
    from ..operate.drive import End

    if end is not End.ENDED:
        code, state = LEFT, "stopped" if stopped else "left"
    elif playbook.returncode == 0:
        code, state = 0, "finished"
    else:
        code, state = (1, "finished") if view.planned else (BAD_INPUT, "refused")
    if code == BAD_INPUT:
        tell_refusal(playbook, view.refusal)
    if json_:
        hosts = {name: dict(verdict) for name, verdict in view.verdicts.items()}
        folder = str(view.folder) if view.folder else None
        document = {"run_id": view.run_id, "folder": folder, "state": state, "hosts": hosts}
        print(json.dumps(document, indent=2))
    elif sys.stdout.isatty() and end is End.ENDED:
        print("\n".join(safe(line) for line in view.report))
    raise typer.Exit(code)


@app.command(
    context_settings=PASSED_ON,
    epilog="Example: loadfleet provision -i inventory/ --limit gpu-03",
)
def provision(context: typer.Context, json_: RunJson = False, project: Project = Path()) -> None:
    """Provision the hosts: playbooks/provision.yml, with a live table of hosts and steps.

    Takes ansible-playbook's options: -i, --limit, -e, --tags, --check and the others. Ctrl-C ends
    it; a second run goes on, and changes nothing where all is done.

    Exit code 0: every host is ready; 1: some is not; 2: the input is wrong; 130: you left.
    """
    from ..operate.drive import End, drive
    from ..operate.interrupts import counted_interrupts
    from ..operate.provision_view import ProvisionView

    arguments = ansible_arguments(context)
    playbook = make_playbook(checked_project(project), "playbooks/provision.yml", arguments, {})
    view = ProvisionView()
    with counted_interrupts() as interrupts, shown(view, json_) as (screen, listened):

        def refresh() -> None:
            if not playbook.is_alive:
                view.finish()
            if screen is not None:
                head = f"provisioning {len(view.hosts)} hosts" if view.hosts else "starting"
                screen.draw(head, view.table, "Ctrl-C ends it; the same command goes on")

        end = drive(playbook, listened, interrupts, refresh, lambda: None)
    prune(playbook)
    if end is not End.ENDED:
        code = LEFT
        tell_on_stderr("ended; the same loadfleet provision again goes on")
    elif playbook.returncode == 0:
        code = 0
    else:
        code = 1 if view.hosts else BAD_INPUT
    if code == BAD_INPUT:
        tell_refusal(playbook, "")
    if json_:
        hosts = {
            name: {
                "state": view.states.get(name, "not ready"),
                "steps": {step: state.value or "not run" for step, state in row.steps.items()},
                "why": row.why,
            }
            for name, row in view.hosts.items()
        }
        print(json.dumps({"hosts": hosts, "artifacts": str(playbook.artifacts)}, indent=2))
    elif sys.stdout.isatty():
        print("\n".join(safe(line) for line in view.lines))
    raise typer.Exit(code)
