"""The provisioning playbook as its events tell it: each host, each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..text.terminal import printable, printable_line
from .playbook import Event

STEPS = {
    "preflight": "preflight",
    "hf_auth": "token",
    "nvidia_driver": "driver",
    "gpu_settings": "gpu",
    "docker": "docker",
    "nvidia_container_toolkit": "toolkit",
    "agent": "agent",
    "caches": "caches",
}
"""Role to the title of its column, in the order of playbooks/provision.yml."""
GAP = 2


class StepState(StrEnum):
    """In the order in which a later one replaces an earlier one."""

    WAITING = ""
    RUNNING = "…"
    OK = "ok"
    CHANGED = "changed"
    FAILED = "failed"


COLOURS = {StepState.FAILED: "red", StepState.CHANGED: "yellow", StepState.OK: "green"}


@dataclass
class ProvisionRow:
    """A host: the state of each of its steps, and what it does or why it stopped."""

    steps: dict[str, StepState] = field(
        default_factory=lambda: dict.fromkeys(STEPS, StepState.WAITING)
    )
    task: str = ""
    why: str = ""


@dataclass
class ProvisionView:
    """Give it every event; ask it for a table."""

    hosts: dict[str, ProvisionRow] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """What the playbook says of the hosts at its end."""
    states: dict[str, str] = field(default_factory=dict)
    _say: Callable[[str], None] = lambda _: None

    def tell_lines(self, say: Callable[[str], None]) -> None:
        """``say`` gets the lines that are no part of the table, from now on."""
        self._say = say

    def take(self, event: Event) -> None:
        """An event of ansible-runner's."""
        kind, data = str(event.get("event")), event.get("event_data") or {}
        host, action = str(data.get("host") or ""), str(data.get("task_action", ""))
        result = data.get("res")
        result = result if isinstance(result, dict) else {}
        if kind == "verbose" and str(event.get("stdout", "")).strip():
            self._say(printable_line(str(event["stdout"]).strip("\r\n")))
        if not host or not kind.startswith("runner_on_"):
            return
        row = self.hosts.setdefault(host, ProvisionRow())
        role = str(data.get("role") or "")
        if action == "provision_report" and kind == "runner_on_ok":
            self.lines = [str(line) for line in result.get("lines", [])]
            self.states = {str(name): str(state) for name, state in result["states"].items()}
            return
        row.task = str(data.get("task") or "")
        if kind in ("runner_on_failed", "runner_on_unreachable") and not row.why:
            ignored = data.get("ignore_errors") or (action.endswith("assert") and role == "")
            row.why = "" if ignored else " ".join(str(result.get("msg", "failed")).split())
        if role in STEPS:
            self._step(row, role, kind, result)

    @staticmethod
    def _step(row: ProvisionRow, role: str, kind: str, result: dict[str, Any]) -> None:
        # The step before is over as soon as another begins.
        for name, state in row.steps.items():
            if name != role and state is StepState.RUNNING:
                row.steps[name] = StepState.OK
        before = row.steps[role]
        if kind in ("runner_on_failed", "runner_on_unreachable") and row.why:
            row.steps[role] = StepState.FAILED
        elif before is StepState.FAILED:
            return
        elif kind == "runner_on_ok" and result.get("changed"):
            row.steps[role] = StepState.CHANGED
        elif before in (StepState.WAITING, StepState.OK):
            row.steps[role] = StepState.RUNNING

    def finish(self) -> None:
        """The playbook has ended: nothing runs any more."""
        for row in self.hosts.values():
            for name, state in row.steps.items():
                if state is StepState.RUNNING:
                    row.steps[name] = StepState.OK

    def table(self, width: int, height: int) -> Table:
        """A row a host, a column a step; where it is too wide, only the step that it is at."""
        names = list(self.hosts)
        shown = names[: max(1, height - 2)] if len(names) > height - 1 else names
        wide = max((cell_len(printable(name)) for name in shown), default=4) + GAP
        steps = [max(len(title), len(StepState.CHANGED)) + GAP for title in STEPS.values()]
        matrix = wide + sum(steps) <= width
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        table.add_column("host", no_wrap=True, overflow="ellipsis")
        for title in STEPS.values() if matrix else ["step"]:
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        left = width - wide - (sum(steps) if matrix else 12)
        if left > 10:
            table.add_column("now", no_wrap=True, overflow="ellipsis", max_width=left)
        for name in shown:
            row = self.hosts[name]
            cells = _matrix(row) if matrix else [_current(row)]
            texts = [Text(printable(name)), *cells]
            if left > 10:
                texts.append(Text(printable(row.why or row.task), style="red" if row.why else ""))
            table.add_row(*texts)
        if len(shown) < len(names):
            table.add_row(Text(f"and {len(names) - len(shown)} more", style="dim"))
        return table


def _matrix(row: ProvisionRow) -> Sequence[Text]:
    return [Text(state.value, style=COLOURS.get(state, "")) for state in row.steps.values()]


def _current(row: ProvisionRow) -> Text:
    for wanted in (StepState.FAILED, StepState.RUNNING):
        for name, state in row.steps.items():
            if state is wanted:
                return Text(STEPS[name], style=COLOURS.get(state, ""))
    return Text("")
