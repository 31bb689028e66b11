"""Logs of a run on a host, as lines that may be printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from enum import StrEnum

from loadfleet_agent.contract.run_folder import AGENT_LOG, ENGINE_LOG, EVENTS, STATUS
from loadfleet_agent.contract.status import Event, Level
from pydantic import ValidationError

from ..text.terminal import printable_line

LONGEST_LINE = 1 << 16
"""Bytes of a line that has no end: what comes then is a line of its own."""

# Without a run id: the one whose status was written last. tail -F follows a file that is made anew.
TAIL = """
home={home}; run={run}
if [ -z "$run" ]; then
  run=$(ls -1t "$home"/runs/*/{status} 2>/dev/null | head -n 1)
  run=${{run%/*}}; run=${{run##*/}}
fi
if [ -z "$run" ]; then echo "no run in $home" >&2; exit 1; fi
file=$home/runs/$run/{name}
if [ ! -f "$file" ]; then echo "no $file" >&2; exit 1; fi
exec tail -n {lines} {follow} "$file"
""".strip()


class LogKind(StrEnum):
    """The values are the files' names."""

    AGENT = AGENT_LOG
    ENGINE = ENGINE_LOG
    EVENTS = EVENTS


def log_command(home: str, run_id: str | None, kind: LogKind, *, lines: int, follow: bool) -> str:
    """For /bin/sh on the host; reads only."""
    return TAIL.format(
        home=shlex.quote(home),
        run=shlex.quote(run_id or ""),
        status=STATUS,
        name=kind.value,
        lines=lines,
        follow="-F" if follow else "",
    )


class LogLines:
    """Makes lines of bytes as they come."""

    def __init__(self, kind: LogKind) -> None:
        self._kind = kind
        self._rest = b""
        self.error = ""
        """The last line that the command complained with."""

    def take(self, data: bytes, *, is_error: bool) -> Iterator[str]:
        if is_error:
            lines = data.decode(errors="replace").strip().splitlines()
            self.error = printable_line(lines[-1]) if lines else self.error
            return
        if not data:  # the end: what is left has no line end
            whole, self._rest = [self._rest] if self._rest else [], b""
        else:
            *whole, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LONGEST_LINE:
                whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            yield self._line(line.decode(errors="replace").rstrip("\r"))

    def _line(self, text: str) -> str:
        if self._kind is not LogKind.EVENTS:
            return printable_line(text)
        try:
            event = Event.model_validate_json(text)
        except ValidationError:
            return printable_line(text)
        level = "" if event.level is Level.INFO else f" {event.level.value} [{event.code}]"
        hint = f" ({event.hint})" if event.hint else ""
        return printable_line(f"{event.at_utc:%H:%M:%S}{level} {event.message}{hint}")
