"""build_wheelhouse: builds on the controller what the hosts' agents are installed from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts: one wheelhouse a build and Python version.

    What a host needs follows from its loadfleet_profile and loadfleet_runtime. ``facts`` names
    the variable with each host's agent_facts; a host without them, or at work, is left out.
    Returns hosts: name to key, folder, archive and whether the host has that environment already.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        self.validate_argument_spec(
            {
                "project": {"type": "path", "required": True},
                "store": {"type": "path", "required": True},
                "facts": {"type": "str", "required": True},
            }
        )
        from loadfleet_agent.contract.settings import SettingsError
        from loadfleet_aggregator.fleet.settings import deployment
        from loadfleet_aggregator.wheelhouse import (
            WheelhouseError,
            archive_wheelhouse,
            build_wheelhouse,
            wheelhouse_key,
        )

        project = Path(self._task.args["project"]).resolve()
        store = (project / self._task.args["store"]).resolve()
        hosts: dict[str, dict[str, Any]] = {}
        keys: dict[tuple[str, str], str] = {}  # each hashes the agent's whole source
        changed = False
        for name in variables["ansible_play_hosts_all"]:
            of_host = variables["hostvars"][name]
            facts = of_host.get(self._task.args["facts"], {})
            if "python_version" not in facts or facts["run"] is not None:
                continue  # not reached, not fit for the agent, or at work
            try:
                build = deployment({key: of_host[key] for key in of_host}, project).build
            except SettingsError as error:
                raise AnsibleActionFail(f"{name}: loadfleet_{error.key}: {error}") from error
            version = facts["python_version"]
            if (build, version) not in keys:
                keys[build, version] = wheelhouse_key(project, build, version)
            key = keys[build, version]
            folder = store / key
            installed = key in facts["environments"]
            if not installed and not self._task.check_mode:
                changed = changed or not folder.is_dir()
                try:
                    build_wheelhouse(project, build, version, store, Display().display)
                    if variables["hostvars"][name].get("ansible_connection") != "local":
                        archive_wheelhouse(folder)
                except (WheelhouseError, OSError) as error:
                    raise AnsibleActionFail(str(error)) from error
            hosts[name] = {
                "key": key,
                "folder": str(folder),
                "archive": f"{folder}.tar",
                "installed": installed,
            }
        result.update(changed=changed, hosts=hosts)
        return result
