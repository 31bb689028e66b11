"""What hosts tell of themselves and of their settings, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from loadfleet_agent.contract.base import canonical_json
from loadfleet_agent.contract.plan import flatten

from .model import Difference, HostReport

IDENTITY_FACTS = frozenset({"hostname", "machine_id", "boot_id"})
IDENTITY_GPU_FACTS = frozenset({"uuid", "pci_bus_id", "index"})
NONE = "none"
"""In place of a setting that the plan of another host has."""


def told_values(
    hosts: Sequence[HostReport], plans: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, str]]:
    """Name of a fact or setting to host to value. ``plans``: of each group.

    Names begin with where they are from: host, engine, model, dataset, plan.
    """
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for host in hosts:
        for key, value in host.facts.items():
            values[f"host: {key}"][host.name] = value
        for key, setting in (host.engine.settings if host.engine else {}).items():
            values[f"engine: {key}"][host.name] = str(setting)
        if host.model:
            values["model: weights"][host.name] = (host.model.weights_sha256 or "not read")[:12]
            values["model: config"][host.name] = host.model.config_sha256[:12]
        if host.dataset:
            values["dataset: samples"][host.name] = host.dataset.library_sha256[:12]
    leaves = {group: _leaves(plan) for group, plan in plans.items()}
    for key in {key for of_group in leaves.values() for key in of_group}:
        for host in hosts:
            if host.group in leaves:
                values[f"plan: {key}"][host.name] = leaves[host.group].get(key, NONE)
    return dict(values)


def differences(
    hosts: Sequence[HostReport], plans: Mapping[str, Mapping[str, object]]
) -> list[Difference]:
    """Facts and settings that are not equal on all hosts that tell them."""
    found = []
    for key, of_hosts in sorted(told_values(hosts, plans).items()):
        by_value: dict[str, list[str]] = defaultdict(list)
        for host_name in sorted(of_hosts):
            by_value[of_hosts[host_name]].append(host_name)
        if len(by_value) > 1 and not _names_one_host(key):
            found.append(
                Difference(name=key, values={v: tuple(n) for v, n in sorted(by_value.items())})
            )
    return found


def _names_one_host(key: str) -> bool:
    """Whether a fact is never the same on two hosts."""
    source, _, fact = key.partition(": ")
    return source == "host" and (
        fact in IDENTITY_FACTS or fact.rsplit(" ", 1)[-1] in IDENTITY_GPU_FACTS
    )


def _leaves(plan: Mapping[str, object]) -> dict[str, str]:
    """A plan's settings under dotted names, those of a scenario under the scenario's."""
    tree = dict(plan)
    scenarios = tree.get("scenarios")
    if isinstance(scenarios, list) and all(
        isinstance(item, dict) and "scenario" in item for item in scenarios
    ):
        tree["scenarios"] = {
            item["scenario"]: {key: value for key, value in item.items() if key != "scenario"}
            for item in scenarios
        }
    return {
        key: canonical_json(leaf) if isinstance(leaf, list | dict) else str(leaf)
        for key, leaf in flatten(tree).items()
    }
