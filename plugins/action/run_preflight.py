"""run_preflight: looks on the host for what its plan needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Adds the files of the host's plan to the module's arguments. ``project``: its folder.

    Where the settings are wrong there is no plan; that is told of the inventory, and no file is
    looked for.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        from loadfleet_aggregator.doctor.wanted import wanted_files
        from loadfleet_aggregator.fleet.settings import InventoryError, plan_hosts

        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        project = Path(arguments.pop("project"))
        variables = task_vars or {}
        name = variables["inventory_hostname"]
        mine = variables["hostvars"][name]
        ours = {key: mine[key] for key in mine if key.startswith("loadfleet_")}
        try:
            (host,) = plan_hosts({name: ours}, "unnamed", lambda _key, _value: "", project)
            arguments["files"] = [item.model_dump() for item in wanted_files(host)]
        except InventoryError:
            arguments["files"] = []
        result.update(
            self._execute_module(
                module_name="run_preflight", module_args=arguments, task_vars=task_vars
            )
        )
        return result
