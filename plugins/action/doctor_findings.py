"""doctor_findings: writes what the tasks of playbooks/doctor.yml found into one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

SPEC: dict[str, dict[str, Any]] = {
    "project": {"type": "path", "required": True},
    "path": {"type": "path", "required": True},  # the file, on the controller
    # Key in the file to the variable that a task has registered.
    "inventory": {"type": "dict", "required": True},  # once for all hosts
    "hosts": {"type": "dict", "required": True},  # of each host
}
KEPT = (
    "access", "agent", "clock_error_s", "clock_offset_s", "continued", "environments", "facts",
    "failed", "findings", "folder", "hosts", "kernel", "module_stderr", "msg", "passed",
    "python", "python_version", "run", "run_id", "stored", "sudo", "unreachable", "user",
)  # fmt: skip
"""Keys of a result that are written: never what a module was called with."""


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        hostvars = variables["hostvars"]
        names = list(variables["ansible_play_hosts_all"])
        answers = {
            "forks": context.CLIARGS["forks"],
            "inventory": {
                key: _kept(variables.get(variable)) for key, variable in args["inventory"].items()
            },
            "hosts": {
                name: {
                    "connection": str(hostvars[name].get("ansible_connection", "ssh")),
                    "key_file": _key_file(hostvars[name]),
                    "plan": _plan(name, hostvars[name], Path(args["project"])),
                }
                | {
                    key: _kept(hostvars[name].get(variable))
                    for key, variable in args["hosts"].items()
                }
                for name in names
            },
        }
        Path(args["path"]).write_text(json.dumps(answers), encoding="utf-8")
        result.update(changed=False)
        return result


def _kept(value: Any) -> Any:
    """A registered result without its arguments; None of a task that was not run."""
    if not isinstance(value, dict) or value.get("skipped"):
        return None
    return {key: value[key] for key in KEPT if key in value}


def _key_file(variables: Any) -> str | None:
    for name in ("ansible_ssh_private_key_file", "ansible_private_key_file"):
        if variables.get(name):
            return str(variables[name])
    return None


def _plan(name: str, variables: Any, project: Path) -> dict[str, Any] | None:
    from loadfleet_aggregator.fleet.settings import InventoryError, plan_hosts

    ours = {key: variables[key] for key in variables if key.startswith("loadfleet_")}
    try:
        (host,) = plan_hosts({name: ours}, "unnamed", lambda _key, _value: "", project)
    except InventoryError:
        return None
    return {"fleet": host.fleet.model_dump(), "plan": host.plan.model_dump(mode="json")}
