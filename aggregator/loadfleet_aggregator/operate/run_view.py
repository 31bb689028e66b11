"""The benchmark playbook as its events tell it: what each host does, and how it all ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..text.terminal import printable, printable_line
from .live import HostLive, LiveState, read_look
from .playbook import Event

PROGRESS = re.compile(r"^\d\d:\d\d:\d\d (\S+): (.*)$")
"""A line of agent_wait's."""
ENDS = {
    "done": LiveState.DONE,
    "failed": LiveState.FAILED,
    "stopped": LiveState.STOPPED,
    "rebooted": LiveState.REBOOTED,
    "died": LiveState.DIED,
    "stalled": LiveState.FAILED,
    "lost": LiveState.UNREACHABLE,
}
"""States of agent_wait's result."""
WAIT, PLAN = "agent_wait", "plan_run"
REPORTS = ("report_run", "report_study")


@dataclass
class RunView:
    """Give it every event; ask it for rows."""

    run_id: str | None = None
    folder: Path | None = None
    """The run's on the controller, once it is planned."""
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    report: list[str] = field(default_factory=list)
    refusal: str = ""
    """Why the run was not planned."""
    started: set[str] = field(default_factory=set)
    """Hosts whose agent has the run: it goes on without the playbook."""
    _rows: dict[str, HostLive] = field(default_factory=dict)
    _waiting: set[str] = field(default_factory=set)
    _say: Callable[[str], None] = lambda _: None

    @property
    def planned(self) -> bool:
        return self.folder is not None

    def tell_lines(self, say: Callable[[str], None]) -> None:
        """``say`` gets the lines that are no part of the table, from now on."""
        self._say = say

    def take(self, event: Event) -> None:
        """An event of ansible-runner's."""
        kind, data = str(event.get("event")), event.get("event_data") or {}
        result = data.get("res")
        result = result if isinstance(result, dict) else {}
        action = str(data.get("task_action", "")).rpartition(".")[2]
        host = str(data.get("host") or "")
        if kind == "verbose":
            self._take_line(str(event.get("stdout", "")))
        elif kind == "runner_on_start" and host:
            self._on_start(host, action, str(data.get("task", "")))
        elif kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable") and host:
            self._on_end(host, action, result, kind)

    def look(self, texts: Mapping[str, str]) -> None:
        """What the waits have seen of their hosts: see ``live_files``."""
        for host, text in texts.items():
            # What a wait that has ended left behind is older than its end.
            if host in self._waiting:
                row = read_look(host, text)
                if row.state is LiveState.RUNNING:
                    self._rows[host] = row

    def rows(self) -> list[HostLive]:
        return list(self._rows.values())

    def _on_start(self, host: str, action: str, task: str) -> None:
        if action == WAIT:
            self._waiting.add(host)
            self.started.add(host)
        before = self._rows.get(host)
        if before is not None and before.state.ended:
            return  # what collecting does says nothing new of the run
        self._rows[host] = HostLive(
            host=host, state=LiveState.STARTING, run_id=self.run_id, phase=task,
            note=before.note if before is not None else "",
        )  # fmt: skip

    def _on_end(self, host: str, action: str, result: dict[str, Any], kind: str) -> None:
        message = " ".join(str(result.get("msg", "")).split())
        if action == PLAN:
            if kind == "runner_on_ok":
                self._on_plan(result)
            else:
                self.refusal = str(result.get("msg", "the run could not be planned"))
        elif action in REPORTS and kind == "runner_on_ok":
            self.verdicts = dict(result.get("verdicts") or {})
            lines = result.get("msg")
            self.report = [str(text) for text in lines] if isinstance(lines, list) else []
        elif action == WAIT:
            self._waiting.discard(host)
            self._end(host, ENDS.get(str(result.get("state")), LiveState.FAILED), message)
        elif kind == "runner_on_unreachable":
            self._end(host, LiveState.UNREACHABLE, message)
        elif kind == "runner_on_failed" and action != "assert":
            self._end(host, LiveState.FAILED, message)

    def _on_plan(self, result: dict[str, Any]) -> None:
        self.run_id = str(result.get("run_id"))
        self.folder = Path(str(result.get("folder")))
        self._rows = {
            str(name): HostLive(host=str(name), state=LiveState.STARTING, run_id=self.run_id)
            for name in result.get("hosts", {})
        }
        self._say(printable(result.get("msg", "")))

    def _end(self, host: str, state: LiveState, note: str) -> None:
        before = self._rows.get(host)
        if before is None or before.state.ended:
            return
        unknown = dict.fromkeys(
            ("rate_per_s", "tokens_per_s", "eta_s", "gpu_power_w", "gpu_temperature_c")
        )
        note = "" if state is LiveState.DONE else note
        self._rows[host] = before.model_copy(update=unknown | {"state": state, "note": note})

    def _take_line(self, text: str) -> None:
        line = printable_line(text.strip("\r\n"))
        progress = PROGRESS.match(line)
        if progress is None:
            if line.strip():
                self._say(line)
            return
        host, told = progress.groups()
        row = self._rows.get(host)
        if row is not None and host in self._waiting:
            # The rest of what it tells stands in the row itself.
            note = told if told.startswith("link lost") else ""
            self._rows[host] = row.model_copy(update={"note": note or row.note})
