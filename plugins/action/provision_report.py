"""provision_report: says of each host whether it is provisioned, and what differs between them."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

COMPARED = (
    "name", "driver_version", "memory.total", "mig.mode.current", "ecc.mode.current",
    "power.limit", "power.default_limit", "pcie.link.gen.max", "pcie.link.width.max",
    "persistence_mode",
)  # fmt: skip
"""Facts of a GPU that decide its speed. The link's current width is not one of them: it goes
down while a GPU is idle."""


LONGEST = 400
"""Characters of a reason that is not ours."""


class ActionModule(ActionBase):
    """Runs on the controller, once. Reads what the roles registered of each host.

    Returns lines (one a host, then one a difference) and states: host to ready, failed or
    unreachable.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        from loadfleet_aggregator.fleet.differences import differences

        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        names = variables["ansible_play_hosts_all"]
        states: dict[str, str] = {}
        lines = []
        facts: dict[str, dict[str, str]] = {}
        for name in names:
            of_host = variables["hostvars"][name]
            if "provision_failure" in of_host:
                states[name] = "failed"
                reasons = reasons_of(name, str(of_host["provision_failure"]))
                lines += [f"{name}: not ready: {reason}" for reason in reasons]
            elif "provision_done" not in of_host:
                states[name] = "unreachable"
                lines.append(f"{name}: unreachable: mend the link, then give the command again")
            else:
                states[name] = "ready"
                lines.append(f"{name}: ready{_described(of_host)}")
            if known := _facts(of_host):
                facts[name] = known
        lines += [f"differs: {line}" for line in differences(facts)]
        result.update(changed=False, lines=lines, states=states)
        return result


def reasons_of(host: str, text: str) -> list[str]:
    """One line a reason. Ours begin with the host's name, one a line; others may be long."""
    lines = text.strip().splitlines()
    if lines and all(line.startswith(f"{host}: ") for line in lines):
        return [line.removeprefix(f"{host}: ") for line in lines]
    return [" ".join(text.split())[:LONGEST]]


def _gpus(of_host: Any) -> list[dict[str, str]]:
    return list((of_host.get("gpu_settings_after") or {}).get("gpus") or [])


def _described(of_host: Any) -> str:
    gpus = _gpus(of_host)
    if not gpus:
        return ""
    text = f": {len(gpus)} x {gpus[0]['name']}, driver {gpus[0]['driver_version']}"
    docker = (of_host.get("docker_answer") or {}).get("stdout", "")
    return f"{text}, Docker {docker}" if docker else text


def _facts(of_host: Any) -> dict[str, str]:
    gpus = _gpus(of_host)
    found = {
        key: ", ".join(dict.fromkeys(gpu.get(key, "none") for gpu in gpus)) for key in COMPARED
    }
    if not gpus:
        return {}
    found["GPUs"] = str(len(gpus))
    if docker := (of_host.get("docker_answer") or {}).get("stdout"):
        found["Docker"] = docker
    facts = of_host.get("ansible_facts") or {}
    for key in ("distribution", "distribution_version", "kernel"):
        if key in facts:
            found[key] = str(facts[key])
    return found
