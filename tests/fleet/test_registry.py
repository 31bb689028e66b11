"""The agent's image through a registry, a real one on a host of the site."""

from __future__ import annotations

import json

from gpu_site import Site

REGISTRY = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
    "http": {"addr": ":5000"},
}


def test_it_is_pushed_by_one_host_and_pulled_by_the_others(provisioned: Site) -> None:
    builder, other = provisioned.machines["gpu-1"], provisioned.machines["gpu-2"]
    builder.run(
        "sh",
        "-c",
        "DEBIAN_FRONTEND=noninteractive apt-get -qq install docker-registry",
        timeout=600,
    )
    # Debian's own configuration asks for a password file.
    builder.write("/etc/docker/registry/config.yml", json.dumps(REGISTRY))
    builder.run("systemctl", "restart", "docker-registry")
    registry = f"{builder.address}:5000"
    played = provisioned.provision(
        "--tags", "docker,agent",
        docker_daemon_options={"features": {"cdi": True}, "insecure-registries": [registry]},
        agent_image_registry=registry,
    )  # fmt: skip
    assert played.returncode == 0, played.output
    listed = other.run("docker", "image", "ls", "--digests", "--format", "json", registry + "/*")
    image = json.loads(listed.stdout.splitlines()[0])
    assert image["Repository"] == f"{registry}/loadfleet-agent"
    assert image["Digest"].startswith("sha256:")
    built = builder.run(
        "docker",
        "image",
        "inspect",
        "--format",
        "{{.Id}}",
        image["Repository"] + ":" + image["Tag"],
    )
    pulled = other.run(
        "docker",
        "image",
        "inspect",
        "--format",
        "{{.Id}}",
        image["Repository"] + ":" + image["Tag"],
    )
    assert pulled.stdout == built.stdout
    assert pulled.stdout.strip() in other.read("/etc/systemd/system/loadfleet-agent@.service")
