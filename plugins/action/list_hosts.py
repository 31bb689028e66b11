"""list_hosts: tells how each host of the play is reached, as Ansible itself would reach it.

``ansible-inventory`` gives variables as they are written; here they are resolved: templates,
vaulted values, ansible.cfg, the command line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},  # a file to write; nothing is printed
}


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts, and touches none.

    Writes a list of objects: the fields of hosts/inventory.py's FleetHost.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        hostvars = variables["hostvars"]
        hosts = [_describe(name, hostvars[name]) for name in variables["ansible_play_hosts_all"]]
        # It may have passwords: for this user alone, from its first byte on.
        descriptor = os.open(args["path"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(hosts, stream)
        result.update(changed=False)
        return result


def _describe(name: str, variables: Any) -> dict[str, Any]:
    connection = str(
        variables.get("ansible_connection")
        or context.CLIARGS.get("connection")
        or constants.DEFAULT_TRANSPORT
    ).removeprefix("ansible.builtin.")
    described: dict[str, Any] = {
        "name": name,
        "connection": "ssh" if connection == "smart" else connection,
        "become": _become(variables),
        "settings": {
            key.removeprefix("loadfleet_"): variables[key]
            for key in variables
            if key.startswith("loadfleet_")
        },
    }
    if described["connection"] == "ssh":
        described["ssh"] = _ssh(name, variables)
    return described


def _ssh(name: str, variables: Any) -> dict[str, Any]:
    option = _options(connection_loader, "connection", "ssh", variables)
    last = [option.get(key) for key in ("ssh_common_args", "ssh_extra_args")]
    return {
        # Its default is a template of the play's, which names this host.
        "address": str(variables.get("ansible_host") or variables.get("ansible_ssh_host") or name),
        "user": option.get("remote_user"),
        "port": option.get("port"),
        "key_file": _expanded(option.get("private_key_file")),
        "password": option.get("password"),
        "first_arguments": str(option.get("ssh_args") or ""),
        "last_arguments": " ".join(str(text) for text in last if text),
        "check_host_key": boolean(option.get("host_key_checking", True)),
        "timeout_s": option.get("timeout") or 10,
    }


def _become(variables: Any) -> dict[str, Any] | None:
    wanted = variables.get(
        "ansible_become", context.CLIARGS.get("become") or constants.DEFAULT_BECOME
    )
    if not boolean(wanted):
        return None
    method = str(
        variables.get("ansible_become_method")
        or context.CLIARGS.get("become_method")
        or constants.DEFAULT_BECOME_METHOD
    ).removeprefix("ansible.builtin.")
    option = _options(become_loader, "become", method, variables)
    return {
        "method": method,
        "user": option.get("become_user") or context.CLIARGS.get("become_user") or "root",
        "password": option.get("become_pass"),
    }


def _options(loader: Any, kind: str, name: str, variables: Any) -> dict[str, Any]:
    """A plugin's options from variables, command line, environment and ansible.cfg."""
    loader.get(name, class_only=True)  # makes its options known
    given = {
        key: variables[key]
        for key in constants.config.get_plugin_vars(kind, name)
        if key in variables
    }
    options: dict[str, Any] = constants.config.get_plugin_options(kind, name, variables=given)
    return options


def _expanded(path: Any) -> str | None:
    return str(Path(str(path)).expanduser()) if path else None
