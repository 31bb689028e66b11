"""The unit of a run in a container says to systemd and Docker what its variables say."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import pytest
from loadfleet_agent.units import TEMPLATE

ROOT = Path(__file__).parents[4]
SOURCE = ROOT / "roles" / "agent" / "templates" / "loadfleet-agent@.service.j2"
IMAGE = "sha256:" + "5" * 64
HOME = "/var/lib/loadfleet"


def render(**changes: Any) -> str:
    """The template as Ansible's module template renders it."""
    variables: dict[str, Any] = {
        "ansible_managed": "Ansible managed",
        "agent_home": HOME,
        "agent_image_id": IMAGE,
        "agent_container_uid": 990,
        "agent_container_gid": 991,
        "agent_container_options": [],
        "agent_container_devices": ["nvidia.com/gpu=all"],
        "agent_container_volumes": [],
        "agent_shm_size": "8g",
    }
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    text = SOURCE.read_text(encoding="utf-8")
    return environment.from_string(text).render(variables | changes)


def settings(unit: str) -> dict[str, list[str]]:
    """Settings of the unit by name, lines that go on put together."""
    found: dict[str, list[str]] = {}
    for line in unit.replace("\\\n", " ").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def docker_run(unit: str) -> list[str]:
    """The words of ExecStart as systemd gives them to Docker, for run r1."""
    (line,) = settings(unit)["ExecStart"]
    marks = {"%%": "\0", "$$": "$", "%i": "r1", "%n": TEMPLATE.format("r1"), "\0": "%"}
    words = shlex.split(line)
    for mark, meaning in marks.items():
        words = [word.replace(mark, meaning) for word in words]
    assert words[:2] == ["/usr/bin/docker", "run"]
    return words[2:]


def values(words: list[str], option: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == option]


def test_its_name_is_the_one_that_the_agent_starts() -> None:
    assert SOURCE.name == f"{TEMPLATE.format('')}.j2"
    # By this the agent sees for which data folder the unit is.
    assert settings(render())["Environment"] == [f'"LOADFLEET_HOME={HOME}"']


def test_the_container_has_no_privilege_and_no_network() -> None:
    words = docker_run(render())
    assert values(words, "--user") == ["990:991"]
    assert values(words, "--cap-drop") == ["ALL"]
    assert values(words, "--security-opt") == ["no-new-privileges"]
    assert values(words, "--network") == ["none"]
    assert values(words, "--pull") == ["never"]
    assert {"--read-only", "--rm"} <= set(words)
    assert "--privileged" not in words
    assert "HF_HUB_OFFLINE=1" in values(words, "--env")
    # The token's folder is nowhere in it.
    assert not [word for word in words if "/etc/loadfleet" in word]


def test_it_sees_its_data_folder_and_of_the_host_only_what_tells_it_apart() -> None:
    mounts = [
        dict(part.partition("=")[::2] for part in mount.split(","))
        for mount in values(docker_run(render()), "--mount")
    ]
    assert {(m["source"], m["target"], "readonly" in m) for m in mounts} == {
        (HOME, HOME, False),
        ("/run/lock/loadfleet", "/run/lock/loadfleet", False),
        ("/etc/machine-id", "/etc/machine-id", True),
        ("/etc/os-release", "/run/host/os-release", True),
    }


def test_it_runs_the_agent_on_the_runs_plan() -> None:
    words = docker_run(render(agent_home="/data/lf"))
    assert values(words, "--name") == ["loadfleet-r1"]
    assert f"LOADFLEET_IMAGE={IMAGE}" in values(words, "--env")
    assert "LOADFLEET_BOOT_ID=%b" in values(words, "--env")
    assert words[words.index(IMAGE) :] == [
        IMAGE, "run", "--home", "/data/lf", "--plan", "/data/lf/runs/r1/plan.json",
        "--unit", "loadfleet-agent@r1.service", "--log",
    ]  # fmt: skip


@pytest.mark.parametrize("devices", [[], ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]], ids=len)
def test_it_gets_the_devices_that_are_named(devices: list[str]) -> None:
    assert values(docker_run(render(agent_container_devices=devices)), "--device") == devices


def test_options_and_volumes_come_through_whatever_is_in_them() -> None:
    odd = ["--ulimit", "memlock=-1", "--env=ODD=a b 'c' \"d\" \\ $HOME %i 100%", "--label=x="]
    volumes = ["/data/models:/data/models:ro", "/a b:/c:ro"]
    words = docker_run(render(agent_container_options=odd, agent_container_volumes=volumes))
    assert values(words, "--volume") == volumes
    end = words.index(IMAGE)
    assert words[end - len(odd) : end] == odd


def test_systemd_waits_longer_for_the_end_than_docker() -> None:
    unit = render()
    (docker_s,) = values(docker_run(unit), "--stop-timeout")
    (systemd_s,) = settings(unit)["TimeoutStopSec"]
    assert int(systemd_s) > int(docker_s)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("changes", [{}, {"agent_container_options": ['--env=X=a "b" $c %i']}])
def test_systemd_finds_no_fault_in_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for name in ("usr/bin/docker", "usr/bin/install", "bin/sh"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", program)
    for name in ("docker.service", "sysinit.target", "basic.target", "shutdown.target"):
        service = "[Service]\nExecStart=/usr/bin/docker\n" if name.endswith("service") else ""
        (units / name).write_text(f"[Unit]\nDefaultDependencies=no\n{service}", encoding="utf-8")
    unit = units / TEMPLATE.format("")
    unit.write_text(render(**changes), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", f"--root={tmp_path}", "verify", TEMPLATE.format("r1")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
