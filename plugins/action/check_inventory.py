"""check_inventory: finds contradictions and misspelt settings before any host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.plugins.action import ActionBase
from ansible.vars.plugins import get_vars_from_inventory_sources


class ActionModule(ActionBase):
    """Runs on the controller, once. Returns hosts: name to its findings, each one line.

    A finding stops its host, not the others: role preflight of the play is given it.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _, args = self.validate_argument_spec({"roles": {"type": "path", "required": True}})
        try:
            from loadfleet_aggregator.fleet.groups import contradictions, misspelt_settings
        except ImportError as error:
            raise AnsibleActionFail(
                f"loadfleet is not installed beside this ansible-playbook ({error}): run "
                "make setup, then .venv/bin/ansible-playbook"
            ) from error
        known = _settings_of_roles(Path(args["roles"]))
        prefixes = (*(f"{role}_" for role in known), "loadfleet_", "provision_")
        sources = variables["ansible_inventory_sources"] or []
        inventory = InventoryManager(loader=self._loader, sources=sources)
        found: dict[str, list[str]] = {}
        for name in variables["ansible_play_hosts_all"]:
            host = inventory.get_host(name)
            own = {} if host is None else self._variables_of(sources, host)
            groups = [] if host is None else self._groups(sources, host)
            found[name] = [
                *contradictions(name, groups, own, prefixes),
                *misspelt_settings(name, variables["hostvars"][name], known),
                *_deployment(name, variables["hostvars"][name], Path(args["roles"]).parent),
            ]
        result.update(changed=False, hosts=found)
        return result

    def _groups(self, sources: list[str], host: Any) -> list[Any]:
        from loadfleet_aggregator.fleet.groups import Group

        return [
            Group(
                name=group.name,
                depth=group.depth,
                priority=group.priority,
                variables=self._variables_of(sources, group),
                ancestors=frozenset(item.name for item in group.get_ancestors()),
            )
            for group in host.get_groups()
        ]

    def _variables_of(self, sources: list[str], entity: Any) -> dict[str, Any]:
        """Variables set on a host or group itself: in the inventory file and beside it."""
        beside = get_vars_from_inventory_sources(self._loader, sources, [entity], "all")
        # A host's get_vars has inventory_hostname and the like too; only ours are compared.
        return dict(entity.get_vars()) | dict(beside)


def _deployment(name: str, variables: Any, project: Path) -> list[str]:
    from loadfleet_agent.contract.settings import SettingsError
    from loadfleet_aggregator.fleet.settings import deployment

    try:
        deployment({key: variables[key] for key in variables}, project)
    except SettingsError as error:
        return [f"{name}: loadfleet_{error.key}: {error}"]
    return []


def _settings_of_roles(roles: Path) -> dict[str, list[str]]:
    """Role to the names of its variables, from its argument_specs and defaults."""
    known: dict[str, list[str]] = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        role = path.parent.parent
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        names = {name for spec in specs.values() for name in spec.get("options", {})}
        for folder in ("defaults", "vars"):
            file = role / folder / "main.yml"
            if file.is_file():
                names |= set(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        known[role.name] = sorted(names)
    return known
