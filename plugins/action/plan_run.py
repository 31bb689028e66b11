"""plan_run: checks the inventory's settings and plans the run, before any host is touched."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts of the play.

    Shows what the plans mean in time and disk, also in check mode: hours are easily burnt.
    Returns run_id, folder, reports, continued, and hosts: name to its fleet settings, every
    default filled in, with the build and the runtime of its plan, and dataset_files: what is
    copied to it (src on the controller, dest on the host).
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        self.validate_argument_spec({"project": {"type": "path", "required": True}})
        project = Path(self._task.args["project"]).resolve()
        try:
            from loadfleet_agent.contract.base import utc_now
            from loadfleet_aggregator.fleet.estimate import describe_plans
            from loadfleet_aggregator.fleet.record import (
                choose_run_id,
                only_one_controller,
                open_run,
            )
            from loadfleet_aggregator.fleet.settings import InventoryError, plan_hosts
        except ImportError as error:
            raise AnsibleActionFail(
                f"loadfleet is not installed beside this ansible-playbook ({error}): run "
                "make setup, then .venv/bin/ansible-playbook"
            ) from error
        hostvars = variables["hostvars"]
        selected = list(variables["ansible_play_hosts_all"])
        hosts = {name: _ours(hostvars[name]) for name in selected}
        now = utc_now()
        check = self._task.check_mode
        try:
            planned = plan_hosts(hosts, "unnamed", _origin, project)
            first = planned[0].fleet
            results, asked = project / first.results_dir, first.run_id
            with nullcontext() if check else only_one_controller(results):
                run_id, continued = choose_run_id(results, asked, now)
                planned = [item.in_run(run_id) for item in planned]
                if not check:
                    inventory = [name for name in variables["groups"]["all"] if name in hostvars]
                    open_run(results, run_id, planned, inventory, now, asked=asked is not None)
        except InventoryError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename}: {error.strerror}") from error
        for line in describe_plans(planned):
            display.display(line)
        reports = project / planned[0].fleet.reports_dir
        result.update(
            changed=not continued,
            run_id=run_id,
            continued=continued,
            folder=str(results / run_id),
            reports=str(reports),
            hosts={
                item.name: item.fleet.model_dump()
                | {
                    "build": item.plan.build.value,
                    "runtime": item.plan.runtime.value,
                    "dataset_files": [
                        {"src": source, "dest": path} for path, source in item.brought.items()
                    ],
                }
                for item in planned
            },
            msg=f"{'going on with' if continued else 'new'} run {run_id}: {len(planned)} hosts",
        )
        return result


def _ours(variables: Any) -> dict[str, Any]:
    return {name: variables[name] for name in variables if name.startswith("loadfleet_")}


def _origin(_name: str, value: Any) -> str:
    """File and line of a variable, as far as this Ansible knows them."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    origin = Origin.get_tag(value)
    if origin is None:
        for key in getattr(value, "keys", list)():
            origin = origin or Origin.get_tag(key) or Origin.get_tag(value[key])
    if origin is None:
        return ""
    return str(origin) if origin.path is None else f"{origin.path}:{origin.line_num}"
