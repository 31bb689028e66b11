"""The agent's image through a registry, a real one on a host of the site."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gpu_site import Site
from machines import Machine

REGISTRY = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
    "http": {"addr": ":5000"},
}


@pytest.fixture(scope="module")
def registry(provisioned: Site) -> str:
    """Its address: on gpu-1, and trusted by all hosts of the site from here on."""
    host = provisioned.machines["gpu-1"]
    host.run(
        "sh",
        "-c",
        "DEBIAN_FRONTEND=noninteractive apt-get -qq install docker-registry",
        timeout=600,
    )
    # Debian's own configuration asks for a password file.
    host.write("/etc/docker/registry/config.yml", json.dumps(REGISTRY))
    host.run("systemctl", "restart", "docker-registry")
    address = f"{host.address}:5000"
    provisioned.variables["docker_daemon_options"] = {
        "features": {"cdi": True},
        "insecure-registries": [address],
    }
    return address


@pytest.fixture(scope="module")
def pushed(provisioned: Site, registry: str) -> Any:
    """The image as gpu-2 lists it, which gpu-1 has built and pushed."""
    played = provisioned.provision("--tags", "docker,agent", agent_image_registry=registry)
    assert played.returncode == 0, played.output
    listing = ("docker", "image", "ls", "--digests", "--format", "json", f"{registry}/*")
    told = provisioned.machines["gpu-2"].run(*listing)
    return json.loads(told.stdout.splitlines()[0])


def image_id(host: Machine, reference: str) -> str:
    told = host.run("docker", "image", "inspect", "--format", "{{.Id}}", reference)
    return told.stdout.strip()


def test_it_is_pushed_by_one_host_and_pulled_by_the_others(
    provisioned: Site, registry: str, pushed: Any
) -> None:
    builder, other = provisioned.machines["gpu-1"], provisioned.machines["gpu-2"]
    assert pushed["Repository"] == f"{registry}/loadfleet-agent"
    assert pushed["Digest"].startswith("sha256:")
    reference = f"{pushed['Repository']}:{pushed['Tag']}"
    assert image_id(other, reference) == image_id(builder, reference)
    assert image_id(other, reference) in other.read("/etc/systemd/system/loadfleet-agent@.service")


def test_an_image_is_taken_by_its_digest(provisioned: Site, pushed: Any) -> None:
    host = provisioned.machines["gpu-2"]
    wanted = image_id(host, pushed["ID"])
    host.run("docker", "image", "rm", "--force", pushed["ID"])
    played = provisioned.provision(
        "--tags", "agent", hosts=("gpu-2",),
        agent_image=f"{pushed['Repository']}@{pushed['Digest']}",
    )  # fmt: skip
    assert played.returncode == 0, played.output
    assert image_id(host, f"{pushed['Repository']}@{pushed['Digest']}") == wanted
    assert wanted in host.read("/etc/systemd/system/loadfleet-agent@.service")


def test_a_digest_that_there_is_not_is_named(provisioned: Site, pushed: Any) -> None:
    missing = f"{pushed['Repository']}@sha256:{'0' * 64}"
    played = provisioned.provision("--tags", "agent", hosts=("gpu-2",), agent_image=missing)
    assert played.returncode != 0
    assert played.lines(f"gpu-2: not ready: image {missing} cannot be pulled:", "docker login")
