"""Docker, and GPUs in containers. Only where the inventory says loadfleet_runtime: container."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .conftest import Expected, require


@pytest.fixture(autouse=True)
def _only_with_containers(expected: Expected) -> None:
    if expected.runtime != "container":
        pytest.skip("loadfleet_runtime is not container")


def test_docker_answers(host: Any) -> None:
    done = host.run("docker info --format '{{json .}}'")
    require(done.rc == 0, f"docker does not answer: {done.stderr.strip()[-100:]}")
    runtime = json.loads(done.stdout)["DefaultRuntime"]
    require(runtime == "runc", f"docker's default runtime is {runtime}: GPUs come by CDI here")


def test_a_container_sees_the_gpus(host: Any, gpus: list[dict[str, str]]) -> None:
    image = host.run("docker image inspect --format '{{.Id}}' loadfleet/gpu-check:host")
    require(image.rc == 0, "no image of the GPU check: run role nvidia_container_toolkit")
    done = host.run(
        "docker run --rm --network none --cap-drop ALL --device nvidia.com/gpu=all %s "
        "nvidia-smi -L",
        image.stdout.strip(),
    )
    seen = len(done.stdout.strip().splitlines()) if done.rc == 0 else 0
    require(
        seen == len(gpus),
        f"a container sees {seen} of {len(gpus)} GPUs: {' '.join(done.stderr.split())[-120:]}",
    )


def test_agent_unit_is_installed(host: Any) -> None:
    unit = host.file("/etc/systemd/system/loadfleet-agent@.service")
    require(unit.exists and unit.user == "root", "the agent's unit is not there: run role agent")
    found = re.search(r"sha256:[0-9a-f]{64}", unit.content_string)
    image = found.group() if found else "none"
    done = host.run("docker image inspect %s", image)
    require(done.rc == 0, f"the agent's image {image[:19]} is not on the host: run role agent")
