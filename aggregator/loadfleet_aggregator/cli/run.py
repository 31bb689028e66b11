"""loadfleet run and provision: the playbooks, with a live table of the fleet."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .exit import BAD_INPUT, refuse, tell_on_stderr
from .options import Project

if TYPE_CHECKING:
    from ..operate.drive import End, View
    from ..operate.playbook import Event, Playbook
    from ..operate.run_view import RunView
    from ..operate.screen import Screen

app = typer.Typer()

LEFT = 130
"""Exit code of a command that the user left, as a shell has it for Ctrl-C."""
ARTIFACTS = ".loadfleet/ansible"
KEPT_PROVISIONINGS = 20
LOOK_S = 1.0
ASKING = ("-k", "-K", "-J", "--step")
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
    """Run the benchmark: run_benchmark.yml, with a live table. Takes ansible-playbook's options.

    Ctrl-C once leaves the run to the hosts, which go on; twice stops it there, in order. The same
    command again goes on with it. What Ansible said is kept in results/RUN/ansible/.

    Exit code 0: every selected host is valid; 1: some is not; 2: the input is wrong, nothing was
    started; 130: you left.
    """
    from ..operate.live_files import FOLDER_VARIABLE
    from ..operate.run_view import RunView

    arguments = _arguments(context)
    home = _project(project)
    with TemporaryDirectory(prefix="loadfleet-live-") as live:
        playbook = _playbook(home, "run_benchmark.yml", arguments, {FOLDER_VARIABLE: live})
        view = RunView(say=tell_on_stderr)
        end = _drive_run(playbook, view, Path(live), json_)
        stopped = _after(end, view, arguments, home)
        _finish_run(playbook, view, end, stopped, json_)


def _drive_run(playbook: Playbook, view: RunView, live: Path, json_: bool) -> End:
    from ..operate.drive import drive
    from ..operate.interrupts import counted_interrupts
    from ..operate.live_files import read_live_files
    from ..operate.table import live_table, summary

    looked = 0.0
    foot = "Ctrl-C leaves the run to the hosts"

    def look(screen: Screen | None) -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_S:
            looked = time.monotonic()
            view.look(read_live_files(live))
        if screen is not None:
            rows = view.rows()
            head = summary(rows) if view.planned else "reading the inventory"
            screen.draw(head, partial(live_table, rows), foot)

    def leaving() -> None:
        nonlocal foot
        foot = "leaving; Ctrl-C again stops the run on the hosts too"
        tell_on_stderr(foot) if json_ or not sys.stdout.isatty() else None

    with counted_interrupts() as interrupts, _shown(view, json_) as (screen, listened):
        return drive(
            playbook, _Moving(listened, view, playbook), interrupts, lambda: look(screen), leaving
        )


class _Moving:
    """Passes events on, and gives the artifacts their place as soon as there is one."""

    def __init__(self, listened: View, view: RunView, playbook: Playbook) -> None:
        self._listened, self._view, self._playbook = listened, view, playbook
        self._moved = False

    def take(self, event: Event) -> None:
        self._listened.take(event)
        if not self._moved and self._view.folder is not None and self._view.folder.is_dir():
            self._moved = True
            target = self._view.folder / "ansible" / self._playbook.artifacts.name
            self._playbook.move_artifacts(target)


class _Printing:
    """What ansible-playbook prints, line by line, where there is no terminal for a table."""

    def __init__(self, view: View, print_line: Callable[[str], None]) -> None:
        self._view, self._print = view, print_line

    def take(self, event: Event) -> None:
        from ..text.terminal import printable_line

        for line in str(event.get("stdout") or "").splitlines():
            self._print(printable_line(line))
        self._view.take(event)


@contextmanager
def _shown(view: View, json_: bool) -> Iterator[tuple[Screen | None, View]]:
    """A screen on a terminal; else None, and a view that prints."""
    from ..operate.screen import Screen

    if json_ or not sys.stdout.isatty():
        quiet: Callable[[str], None] = lambda _: None  # noqa: E731
        view.say = quiet  # type: ignore[attr-defined]
        yield None, _Printing(view, tell_on_stderr if json_ else _print)
        return
    with Screen() as screen:
        view.say = screen.say  # type: ignore[attr-defined]
        yield screen, view


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
        tell_on_stderr(f"run {run_id} goes on by itself on {_some(begun)}")
    if rest:
        tell_on_stderr(f"not begun on {_some(rest)}")
    tell_on_stderr(
        "to come back: the same loadfleet run again\n"
        f"to look on:   loadfleet watch {run_id}\n"
        f"to end it:    loadfleet stop {run_id}"
    )
    return False


def _stop(view: RunView, arguments: Sequence[str], project: Path) -> None:
    from ..fleet.inventory import selection_of
    from ..fleet.remote import Links
    from ..operate.interrupts import counted_interrupts
    from ..operate.stop import stop_runs
    from .options import selected

    tell_on_stderr("stopping the run on the hosts, in order: this may take some minutes")
    with counted_interrupts():  # one more Ctrl-C must not leave it half done
        fleet = selected(selection_of(arguments), project)
        hosts = [host for host in fleet.hosts if host.name in view.started]
        runs = {row.host: row.run_id for row in view.rows()}
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
        _tell_refusal(playbook, view.refusal)
    if json_:
        hosts = {name: dict(verdict) for name, verdict in view.verdicts.items()}
        folder = str(view.folder) if view.folder else None
        document = {"run_id": view.run_id, "folder": folder, "state": state, "hosts": hosts}
        print(json.dumps(document, indent=2))
    elif sys.stdout.isatty() and end is End.ENDED:
        print("\n".join(_printable(line) for line in view.report))
    raise typer.Exit(code)


@app.command(
    context_settings=PASSED_ON,
    epilog="Example: HF_TOKEN=... loadfleet provision -i inventory/ --limit gpu-03",
)
def provision(context: typer.Context, json_: RunJson = False, project: Project = Path()) -> None:
    """Provision the hosts: playbooks/provision.yml, with a live table of hosts and steps.

    Takes ansible-playbook's options. Ctrl-C ends it; a second run goes on, and changes nothing
    where all is done.

    Exit code 0: every host is ready; 1: some is not; 2: the input is wrong; 130: you left.
    """
    from ..operate.drive import End, drive
    from ..operate.interrupts import counted_interrupts
    from ..operate.provision_view import ProvisionView

    arguments = _arguments(context)
    playbook = _playbook(_project(project), "playbooks/provision.yml", arguments, {})
    view = ProvisionView(say=tell_on_stderr)
    with counted_interrupts() as interrupts, _shown(view, json_) as (screen, listened):

        def refresh() -> None:
            if not playbook.is_alive:
                view.finish()
            if screen is not None:
                head = f"provisioning {len(view.hosts)} hosts" if view.hosts else "starting"
                screen.draw(head, view.table, "Ctrl-C ends it; the same command goes on")

        end = drive(playbook, listened, interrupts, refresh, lambda: None)
    _prune(playbook.artifacts.parent)
    if end is not End.ENDED:
        code = LEFT
        tell_on_stderr("ended; the same loadfleet provision again goes on")
    elif playbook.returncode == 0:
        code = 0
    else:
        code = 1 if view.hosts else BAD_INPUT
    if code == BAD_INPUT:
        _tell_refusal(playbook, "")
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
        print("\n".join(_printable(line) for line in view.lines))
    raise typer.Exit(code)


def _arguments(context: typer.Context) -> list[str]:
    """Those of ansible-playbook. Nobody could answer a question of it."""
    arguments = list(context.args)
    for word in arguments:
        if word in ASKING or word.startswith("--ask-"):
            refuse(
                f"{word}: no question can be answered here: give a file "
                "(--vault-password-file, --become-password-file, --connection-password-file), "
                "or use ansible-playbook itself"
            )
    return arguments


def _project(project: Path) -> Path:
    from ..fleet.inventory import require_project
    from ..fleet.settings import InventoryError

    try:
        return require_project(project)
    except InventoryError as error:
        refuse(str(error))


def _playbook(
    project: Path, name: str, arguments: Sequence[str], environment: dict[str, str]
) -> Playbook:
    from ..operate.playbook import Playbook

    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    kind = Path(name).stem
    return Playbook(project, name, arguments, project / ARTIFACTS / kind / stamp, environment)


def _prune(folder: Path) -> None:
    """Keeps what the newest provisionings left."""
    import shutil

    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEPT_PROVISIONINGS]:
        shutil.rmtree(old, ignore_errors=True)


def _tell_refusal(playbook: Playbook, refusal: str) -> None:
    from ..fleet.inventory import first_error

    text = refusal or playbook.error or first_error(playbook.output)
    for line in text.splitlines():
        tell_on_stderr(f"loadfleet: {_printable(line)}")


def _printable(text: str) -> str:
    from ..text.terminal import printable_line

    return printable_line(text)


def _some(names: Sequence[str]) -> str:
    from ..text.listing import some

    return some(names)


def _print(text: str) -> None:
    print(text, flush=True)
