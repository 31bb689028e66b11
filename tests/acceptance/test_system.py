"""The system below everything."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Expected, require


def test_system_is_supported(host: Any, expected: Expected) -> None:
    name = f"{host.system_info.distribution} {host.system_info.release}".lower()
    supported = [str(item).lower() for item in expected["preflight_systems"]]
    require(
        any(name == item or name.startswith(f"{item}.") for item in supported),
        f"{name} is not one of {', '.join(supported)}",
    )


def test_no_reboot_is_pending(host: Any) -> None:
    require(
        not host.file("/run/reboot-required").exists, "a reboot is pending: reboot the host first"
    )


def test_token_is_for_root_alone(host: Any, expected: Expected) -> None:
    token = host.file(str(expected["hf_auth_path"]))
    if not token.exists:
        return
    private = (token.mode, token.user) == (0o600, "root")
    folder = host.file(str(expected["hf_auth_path"]).rsplit("/", 1)[0])
    require(
        private and folder.mode == 0o700,
        f"{token.path} can be read by others than root: chmod 600 it, and 700 its folder",
    )


def test_agent_answers(host: Any, expected: Expected) -> None:
    done = host.run("%s inspect --json", f"{expected.home}/bin/loadfleet-agent")
    require(
        done.rc == 0,
        f"the agent does not answer ({done.stderr.strip()[-100:]}): run playbooks/provision.yml",
    )
    require(
        bool(json.loads(done.stdout)["gpus"]), "the agent sees no GPU: look at nvidia-smi as root"
    )


def test_model_is_whole(host: Any, expected: Expected) -> None:
    model = expected.model
    if model.get("source") != "hub":
        return
    cache = model.get("cache") or f"{expected.home}/cache/hub"
    done = host.run(
        "%s download --repo %s --revision %s --cache %s --verify-only --json",
        f"{expected.home}/bin/loadfleet-agent",
        model["repo"],
        model["revision"],
        cache,
    )
    require(done.rc == 0, f"model {model['repo']} is not whole in {cache}: run role caches")
