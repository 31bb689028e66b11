"""What was put on a host goes again. The last tests of all: see conftest.py."""

from __future__ import annotations

from gpu_site import Site

MODEL = "/var/lib/loadfleet/cache/hub/models--site--tiny-llama"


def test_cleanup_takes_off_what_the_agent_put_there(provisioned: Site) -> None:
    """Last of all; the caches stay, as nobody said otherwise."""
    host = provisioned.machines["gpu-2"]
    played = provisioned.play("playbooks/cleanup.yml", hosts=("gpu-2",), cleanup_runs=True)
    assert played.returncode == 0, played.output
    for path in ("/etc/loadfleet", "/etc/systemd/system/loadfleet-agent@.service",
                 "/var/lib/loadfleet/environments", "/var/lib/loadfleet/runs"):  # fmt: skip
        assert host.run("test", "-e", path, check=False).returncode == 1, path
    assert not host.run("docker", "image", "ls", "--quiet", "loadfleet-agent").stdout
    assert host.run("test", "-d", MODEL).returncode == 0
    again = provisioned.play("playbooks/cleanup.yml", hosts=("gpu-2",), cleanup_runs=True)
    assert again.changed() == {"gpu-2": 0}, again.changed_tasks()
    played = provisioned.play("playbooks/cleanup.yml", hosts=("gpu-2",),
                              cleanup_runs=True, cleanup_caches=True)  # fmt: skip
    assert played.returncode == 0, played.output
    assert host.run("test", "-e", "/var/lib/loadfleet", check=False).returncode == 1
    assert host.run("getent", "passwd", "loadfleet", check=False).returncode != 0
