"""report_run: notes what the controller saw, unpacks what was fetched, and writes the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

SPEC: dict[str, dict[str, Any]] = {
    "folder": {"type": "path", "required": True},  # the run's folder on the controller
    "attempt": {"type": "str", "required": True},  # of plan_run: names what was fetched
    # Folder with the newest report; none: the run is a part of something larger.
    "reports": {"type": "path"},
    # Variable to step, in the order of the play: the first that failed is the host's reason.
    "steps": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
}


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts. Returns verdicts: name to kind and text."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        from loadfleet_aggregator.collect import SeenClock, note_host, publish_run, report_on
        from loadfleet_aggregator.fleet.record import only_one_controller
        from loadfleet_aggregator.fleet.settings import InventoryError
        from loadfleet_aggregator.text.terminal import printable

        folder = Path(args["folder"])
        hostvars = (task_vars or {})["hostvars"]
        try:
            with only_one_controller(folder):  # two operators may end at once
                for name in args["hosts"]:
                    seen = _clock(hostvars[name], args["steps"], folder.name)
                    clock = SeenClock(**seen) if seen else None
                    noted = _seen(hostvars[name], args["steps"])
                    note_host(folder, name, noted, clock, args["attempt"])
                reports = args["reports"]
                report = publish_run(folder, Path(reports)) if reports else report_on(folder)
        except InventoryError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename or folder}: {error.strerror}") from error
        lines = [printable(f"{host.name}: {host.verdict}") for host in report.hosts]
        result.update(
            changed=True,
            verdicts={
                host.name: {"kind": host.verdict.kind.value, "text": printable(host.verdict)}
                for host in report.hosts
            },
            msg=[printable(report.headline), *lines, f"report: {folder / 'report.html'}"],
        )
        return result


def _clock(variables: Any, steps: dict[str, str], run_id: str) -> dict[str, Any] | None:
    """What the wait for this very run told of the host's clock."""
    for variable, step in steps.items():
        outcome = variables.get(variable)
        if step == "wait" and isinstance(outcome, dict) and outcome.get("run_id") == run_id:
            return outcome.get("clock") or None
    return None


def _seen(variables: Any, steps: dict[str, str]) -> tuple[str, str, str]:
    """State, step and message of the first step that failed or found the host unreachable."""
    reached = False
    for variable, step in steps.items():
        outcome = variables.get(variable)
        if not isinstance(outcome, dict) or outcome.get("skipped"):
            continue
        text = " ".join(str(outcome.get("msg", "")).split())[:600]
        if outcome.get("unreachable") or outcome.get("state") == "lost":
            return "unreachable", step, text
        if outcome.get("failed"):
            return "failed", step, text
        reached = True
    return ("collected" if reached else "not-run"), "", ""
