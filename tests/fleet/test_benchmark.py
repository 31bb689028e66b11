"""The benchmark over real SSH: on two hosts in containers, and in a virtual environment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from gpu_site import GPU_HOSTS, TOKEN, Site
from waiting import wait_until


@pytest.fixture(scope="module")
def report(provisioned: Site) -> Any:
    """The report of a run whose hosts start together, as user ops with sudo, host keys checked."""
    played = provisioned.play("run_benchmark.yml", loadfleet_sync_start=True)
    assert played.returncode == 0, played.output
    return json.loads((results(provisioned) / "report.json").read_bytes())


def results(site: Site) -> Path:
    return Path(site.variables["loadfleet_results_dir"]) / "latest"


def test_every_host_is_valid(report: Any) -> None:
    assert {host["name"]: host["verdict"]["kind"] for host in report["hosts"]} == dict.fromkeys(
        GPU_HOSTS, "ok"
    )


def test_the_hosts_started_at_one_moment_and_their_clocks_are_known(report: Any) -> None:
    """Over SSH with sudo, into containers; both machines have this machine's clock."""
    for scenario in report["scenarios"]:
        joint = scenario["joint"]
        assert (joint["hosts"], joint["synchronised"]) == (len(GPU_HOSTS), True)
        assert re.fullmatch(r"([\d.]+% of the tokens belong to answers [^;]*)?", joint["note"])
    for host in report["hosts"]:
        assert abs(host["clock_offset_s"]) <= host["clock_error_s"]


@pytest.mark.usefixtures("report")
def test_the_result_names_the_image_and_the_gpu(provisioned: Site) -> None:
    for name in GPU_HOSTS:
        facts = json.loads((results(provisioned) / "hosts" / name / "host.json").read_bytes())
        image = provisioned.machines[name].run(
            "docker", "image", "ls", "--no-trunc", "--quiet", "loadfleet-agent"
        )
        assert facts["container_image"] == image.stdout.split()[0]
        assert facts["gpus"][0]["name"] == "NVIDIA A30"
        assert facts["operating_system"].startswith("Debian GNU/Linux 13")


def test_the_container_has_no_privileges_and_no_token(provisioned: Site) -> None:
    site = provisioned
    host = site.machines["gpu-1"]
    long = {"loadfleet_length": {"samples": 16, "server_queries": 100_000}}
    process = site.play_in_background("run_benchmark.yml", hosts=("gpu-1",), **long)
    try:
        name = wait_until(
            lambda: host.run(
                "docker", "ps", "--quiet", "--filter", "name=loadfleet-"
            ).stdout.strip(),
            "the container of the run",
        )
        described = json.loads(host.run("docker", "inspect", name).stdout)[0]
        assert TOKEN not in json.dumps(described)
        settings = described["HostConfig"]
        assert settings["Privileged"] is False
        assert settings["ReadonlyRootfs"] is True
        assert settings["CapDrop"] == ["ALL"]
        assert settings["NetworkMode"] == "none"
        assert described["Config"]["User"].split(":")[0] not in ("", "0", "root")
        inside = host.run("docker", "exec", name, "sh", "-c",
                          "cat /etc/loadfleet/hf_token; touch /usr/x; cat /proc/1/environ",
                          check=False)  # fmt: skip
        assert "No such file" in inside.stderr
        assert "Read-only file system" in inside.stderr
        assert TOKEN not in inside.stdout
        # Stopping the unit stops the container, with a result that says why.
        unit = host.run("systemctl", "list-units", "--plain", "--no-legend", "loadfleet-agent@*")
        host.run("systemctl", "stop", unit.stdout.split()[0], timeout=300)
        assert not host.run("docker", "ps", "--quiet", "--filter", "name=loadfleet-").stdout
        output, _ = process.communicate(timeout=900)
        assert process.returncode != 0
        assert "gpu-1: failed at" in output
        assert "[stopped]" in output or "stopped" in output
    finally:
        process.kill()
        process.wait()
        host.run("systemctl", "stop", "loadfleet-agent@*", check=False, timeout=300)


def test_a_host_at_work_is_attached_to_and_not_changed(provisioned: Site) -> None:
    """The playbook killed, and the same command again: the same run, from where it is."""
    site = provisioned
    host = site.machines["gpu-2"]
    long = {
        "loadfleet_length": {"samples": 16, "server_queries": 3_000},
        "loadfleet_run_id": "killed-and-again",
    }
    process = site.play_in_background("run_benchmark.yml", hosts=("gpu-2",), **long)
    try:
        wait_until(
            lambda: "server-performance" in status(host, "killed-and-again"), "the Server scenario"
        )
    finally:
        process.kill()
        process.wait()
    played = site.play("run_benchmark.yml", hosts=("gpu-2",), **long)
    assert played.returncode == 0, played.output
    assert json.loads(status(host, "killed-and-again"))["attempt"] == 1


def test_a_run_in_a_virtual_environment_cannot_see_the_token(site: Site) -> None:
    """The other runtime, on a host that has nothing but the token of its own download."""
    host = site.machines["plain"]
    played = site.provision("--tags", "hf_auth", hosts=("plain",))
    assert played.returncode == 0, played.output
    settings = {
        "loadfleet_runtime": "venv",
        "loadfleet_run_id": "in-a-venv",
        "loadfleet_model": {"source": "tiny"},
        "loadfleet_length": {"samples": 16, "server_queries": 3_000},
    }
    process = site.play_in_background("run_benchmark.yml", hosts=("plain",), **settings)
    try:
        wait_until(
            lambda: process.poll() is not None or "server-perf" in status(host, "in-a-venv"),
            "the Server scenario",
            timeout_s=900,
        )
        assert process.poll() is None, process.communicate()[0]
        unit = json.loads(status(host, "in-a-venv"))["systemd_unit"]
        pid = host.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
        read = ("cat", "/etc/loadfleet/hf_token")
        assert TOKEN in host.run(*read).stdout
        inside = host.run("nsenter", "--mount", "--target", pid, *read, check=False)
        assert "No such file" in inside.stderr
        environment = host.run("cat", f"/proc/{pid}/environ").stdout
        assert TOKEN not in environment
        assert "HF_HUB_OFFLINE=1" in environment
        output, _ = process.communicate(timeout=900)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    result = json.loads((results(site) / "report.json").read_bytes())
    assert [host["verdict"]["kind"] for host in result["hosts"]] == ["ok"]


def status(host: Any, run_id: str) -> str:
    path = f"/var/lib/loadfleet/runs/{run_id}/status.json"
    return str(host.run("cat", path, check=False).stdout)
