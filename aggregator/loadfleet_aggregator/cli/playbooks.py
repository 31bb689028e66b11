"""What the commands share that play a playbook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .exit import BAD_INPUT, refuse, tell_on_stderr

if TYPE_CHECKING:
    from ..operate.drive import Listener
    from ..operate.playbook import Event, Playbook
    from ..operate.provision_view import ProvisionView
    from ..operate.run_view import RunView
    from ..operate.screen import Screen

LEFT = 130
"""Exit code of a command that the user left, as a shell has it for Ctrl-C."""
ARTIFACTS = ".loadfleet/ansible"
ASKING = ("-k", "-K", "-J", "--step")
KEPT = 20
"""So many artifacts of provisionings, and of runs that were refused."""
BENCHMARK = "run_benchmark.yml"


class Printing:
    """What ansible-playbook prints, line by line, where there is no terminal for a table."""

    def __init__(self, view: Listener, print_line: Callable[[str], None]) -> None:
        self._view, self._print = view, print_line

    def take(self, event: Event) -> None:
        from ..text.terminal import printable_line

        for line in str(event.get("stdout") or "").splitlines():
            self._print(printable_line(line))
        self._view.take(event)


@contextmanager
def shown(view: RunView | ProvisionView, json_: bool) -> Iterator[tuple[Screen | None, Listener]]:
    """A screen on a terminal; else None, and a view that prints."""
    from ..operate.screen import Screen

    if json_ or not sys.stdout.isatty():
        yield None, Printing(view, tell_on_stderr if json_ else print_line)
        return
    with Screen() as screen:
        view.tell_lines(screen.say)
        yield screen, view


def ansible_arguments(context: typer.Context) -> list[str]:
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


def checked_project(project: Path) -> Path:
    from ..fleet.settings import InventoryError
    from ..hosts.inventory import require_project

    try:
        return require_project(project)
    except InventoryError as error:
        refuse(str(error))


def make_playbook(
    project: Path, name: str, arguments: Sequence[str], environment: dict[str, str]
) -> Playbook:
    from ..operate.playbook import Playbook

    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    kind = Path(name).stem
    return Playbook(project, name, arguments, project / ARTIFACTS / kind / stamp, environment)


def prune(playbook: Playbook) -> None:
    """Keeps the newest artifacts of those that belong to no run."""
    import shutil

    folder = playbook.given.parent
    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def give_place(playbook: Playbook, view: RunView) -> None:
    """The artifacts belong to the run, as soon as there is one; a dry run has no folder."""
    if view.folder is not None and view.folder.is_dir():
        playbook.place(view.folder / "ansible" / playbook.given.name)


def play_quietly(project: Path, arguments: Sequence[str], advice: str) -> RunView:
    """The benchmark playbook without a table; ends the command, with advice, if it is refused."""
    from ..operate.drive import drive
    from ..operate.interrupts import counted_interrupts
    from ..operate.run_view import RunView

    playbook = make_playbook(checked_project(project), BENCHMARK, arguments, {})
    view = RunView()
    with counted_interrupts() as interrupts:
        drive(playbook, view, interrupts, lambda: give_place(playbook, view), lambda: None)
    prune(playbook)
    if not view.planned:
        tell_refusal(playbook, view.refusal)
        tell_on_stderr(f"loadfleet: {advice}")
        raise typer.Exit(BAD_INPUT)
    if interrupts.count:
        raise typer.Exit(LEFT)
    return view


def tell_refusal(playbook: Playbook, refusal: str) -> None:
    from ..hosts.inventory import first_error

    text = refusal or playbook.error or first_error(playbook.output)
    for line in text.splitlines():
        tell_on_stderr(f"loadfleet: {safe(line)}")


def safe(text: str) -> str:
    from ..text.terminal import printable_line

    return printable_line(text)


def some_names(names: Sequence[str]) -> str:
    from ..text.listing import some

    return some(names)


def print_line(text: str) -> None:
    print(text, flush=True)
