"""What agent_wait sees of its host, left for ``loadfleet run`` to show.

The processes that wait for the hosts have a connection to each already; so the table of
``loadfleet run`` needs none of its own. ``ansible-playbook`` alone leaves nothing: the folder is
named in the environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

FOLDER_VARIABLE = "LOADFLEET_LIVE_FOLDER"


class LiveFile:
    """Of one host, in the process that waits for it. Its troubles are none of the wait's."""

    def __init__(self, host: str, home: str, run_id: str) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._path = Path(folder) / host if folder else None
        self._home, self._run_id = home, run_id

    def look(self, ask: Callable[[str, str], str | None]) -> None:
        """``ask``: gives what a command printed after a mark, or None."""
        if self._path is None:
            return
        from .live import MARK, look_command

        begin = f"{MARK}-begin"
        text = ask(f"echo {begin}; {look_command(self._home, self._run_id)}", begin)
        if text is not None:
            aside = self._path.with_name(f".{self._path.name}.new")
            with contextlib.suppress(OSError):  # the folder went with loadfleet run
                aside.write_text(text, encoding="utf-8", errors="replace")
                aside.replace(self._path)


class LiveFolder:
    """All hosts' files, in ``loadfleet run``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, int] = {}

    def changed(self) -> dict[str, str]:
        """Host to what its last look printed, of those that were looked at since the last call."""
        texts = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                written = entry.stat().st_mtime_ns
                if entry.name.startswith(".") or self._seen.get(entry.name) == written:
                    continue
                self._seen[entry.name] = written
                texts[entry.name] = Path(entry.path).read_text(encoding="utf-8", errors="replace")
        return texts
