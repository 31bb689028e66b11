"""What agent_wait sees of its host, left for ``loadfleet run`` to show.

The processes that wait for the hosts have a connection to each already; so the table of
``loadfleet run`` needs none of its own. ``ansible-playbook`` alone leaves nothing: the folder is
named in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from loadfleet_agent.contract.files import write_atomic

FOLDER_VARIABLE = "LOADFLEET_LIVE_FOLDER"


class LiveFile:
    """Of one host, in the process that waits for it."""

    def __init__(self, host: str, home: str, run_id: str) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._path = Path(folder) / host if folder else None
        self._home, self._run_id = home, run_id

    def look(self, ask: Callable[[str, str], str | None]) -> None:
        """``ask``: gives what a command printed after a mark, or None."""
        if self._path is None:
            return
        from .live import MARK, look_command

        command = f"echo {MARK}-begin; {look_command(self._home, self._run_id)}"
        text = ask(command, f"{MARK}-begin")
        if text is not None:
            write_atomic(self._path, text)


def read_live_files(folder: Path) -> dict[str, str]:
    """Host to what its last look printed."""
    texts = {}
    for path in folder.iterdir():
        if not path.name.startswith("."):
            texts[path.name] = path.read_text(encoding="utf-8", errors="replace")
    return texts
