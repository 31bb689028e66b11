"""A terminal that is drawn anew again and again, and its keys."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

Draw = Callable[[int, int], RenderableType]
"""From the columns and lines of the terminal."""


class Screen:
    """A part of the terminal, below what was printed before. Use it as a context manager.

    What is on it at the end stays.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, soft_wrap=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=False, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip

    def __enter__(self) -> Screen:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def draw(self, head: str, body: Draw, foot: str = "") -> None:
        """A line, a table that fills what is left, and a line; each cut to the width."""
        width, height = self._console.size
        parts: list[RenderableType] = [_cut(head, width)]
        used = 3 if foot else 2
        parts.append(body(width, max(2, height - used)))
        if foot:
            parts.append(_cut(foot, width))
        self._live.update(Group(*parts), refresh=True)

    def say(self, line: str) -> None:
        """A line above it, that stays."""
        self._console.print(Text(line), soft_wrap=True)


def _cut(text: str, width: int) -> Text:
    made = Text(text, no_wrap=True, overflow="ellipsis")
    made.truncate(width, overflow="ellipsis")
    return made


@contextlib.contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key: the key, or ''.

    Keys are not shown meanwhile; Ctrl-C stays a signal. Without a terminal it only waits.
    """
    if not sys.stdin.isatty():
        yield lambda seconds: select.select([], [], [], seconds) and ""
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield (
            lambda seconds: (
                os.read(descriptor, 1).decode(errors="replace")
                if select.select([descriptor], [], [], seconds)[0]
                else ""
            )
        )
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
