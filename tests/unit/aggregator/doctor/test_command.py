"""loadfleet doctor as a user calls it, with real ansible-playbook, sshd and inventories."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from waiting import LONG_S

from ..helpers import BIN
from ..sshd import Sshd, needs_sshd, start_sshd
from .made import PROJECT

QUICK = {
    "loadfleet_profile": "null-engine",
    "loadfleet_model": {"source": "tiny"},
    "loadfleet_dataset": {"source": "synthetic"},
    "loadfleet_length": {"samples": 16, "server_queries": 500},
}
Checks = dict[tuple[str, str], dict[str, Any]]


def doctor(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    for name in ("ANSIBLE_CONFIG", "HF_TOKEN"):
        environment.pop(name, None)
    return subprocess.run(
        [BIN / "loadfleet", "doctor", "--project", PROJECT, *map(str, arguments)],
        capture_output=True, text=True, timeout=2 * LONG_S, check=False, env=environment,
    )  # fmt: skip


def write(folder: Path, hosts: dict[str, Any], **variables: Any) -> Path:
    own = {
        "loadfleet_home": f"{folder}/{{{{ inventory_hostname }}}}",
        "loadfleet_results_dir": f"{folder}/results",
    }
    tree = {"all": {"hosts": hosts, "vars": QUICK | own | variables}}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def checks_of(done: subprocess.CompletedProcess[str]) -> Checks:
    """Place and name to check; of several of one name the last."""
    told = json.loads(done.stdout)
    assert told["schema_version"] == 1
    return {(check["place"], check["id"]): check for check in told["checks"]}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with start_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@needs_sshd
def test_hosts_are_asked_over_their_own_connections(sshd: Sshd, tmp_path: Path) -> None:
    wrong = tmp_path / "other_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", wrong], check=True)
    hosts = {
        "here": {"ansible_connection": "local"},
        "there": sshd.variables(),
        "closed": sshd.variables(ansible_port=1),
        "stranger": sshd.variables(ansible_ssh_private_key_file=str(wrong)),
        "unknown": sshd.variables(
            ansible_ssh_common_args=f"-F {sshd.config} -o UserKnownHostsFile=/dev/null"
        ),
    }
    python = {"ansible_python_interpreter": str(BIN / "python")}
    done = doctor("-i", write(tmp_path, hosts, **python), "--remote", "--json")
    checks = checks_of(done)
    assert done.returncode == 1, done.stderr
    for name in ("here", "there"):
        assert checks[name, "connection"]["severity"] == "ok"
        assert checks[name, "clock"]["severity"] == "ok"
        assert checks[name, "agent"]["severity"] == "ok", checks[name, "agent"]
        assert checks[name, "run"]["found"] == "no run is in progress"
    said = {
        "closed": ("Connection refused", "start sshd"),
        "stranger": ("Permission denied", "authorized_keys"),
        "unknown": ("Host key verification failed", "known_hosts"),
    }
    for name, (cause, remedy) in said.items():
        check = checks[name, "connection"]
        assert check["severity"] == "error"
        assert cause in check["found"]
        assert remedy in check["remedy"]
        assert [key for key in checks if key[0] == name] == [(name, "connection")]


@needs_sshd
def test_a_connection_that_is_still_open_hides_no_wrong_key(sshd: Sshd, tmp_path: Path) -> None:
    wrong = tmp_path / "other_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", wrong], check=True)
    python = {"ansible_python_interpreter": str(BIN / "python")}
    for key, severity in ((sshd.key, "ok"), (wrong, "error")):
        hosts = {"there": sshd.variables(ansible_ssh_private_key_file=str(key))}
        checks = checks_of(doctor("-i", write(tmp_path, hosts, **python), "--remote", "--json"))
        assert checks["there", "connection"]["severity"] == severity


def test_a_wrong_setting_is_told_with_its_line_and_keeps_no_host_from_being_looked_at(
    tmp_path: Path,
) -> None:
    local = {"here": {"ansible_connection": "local"}}
    python = {"ansible_python_interpreter": str(BIN / "python")}
    path = write(tmp_path, local, loadfleet_profil="x", **python)
    (line,) = [
        n for n, text in enumerate(path.read_text().splitlines(), 1) if "loadfleet_profil:" in text
    ]
    done = doctor("-i", path, "--remote", "--json")
    checks = checks_of(done)
    assert done.returncode == 1
    assert checks["controller", "settings"]["found"].startswith(
        f"{path}:{line}: loadfleet_profil: no such setting; did you mean loadfleet_profile?"
    )
    assert checks["here", "connection"]["severity"] == "ok"


def test_an_inventory_that_is_no_yaml_is_an_error_beside_the_other_checks(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {hosts: [")
    done = doctor("-i", path, "--json")
    checks = checks_of(done)
    assert done.returncode == 1
    assert checks["controller", "inventory"]["severity"] == "error"
    assert str(path) in checks["controller", "inventory"]["found"]
    assert checks["controller", "python"]["severity"] == "ok"


def test_no_token_leaves_the_controller(tmp_path: Path) -> None:
    token = "hf_ThisMustNotBeSeen"
    model = {"source": "hub", "repo": "org/name", "revision": "main"}
    hosts = {"here": {"ansible_connection": "local"}}
    path = write(tmp_path, hosts, loadfleet_model=model, hf_auth_token=token)
    done = doctor("-i", path, "--json")
    assert checks_of(done)["controller", "token"]["found"] == "a token is set"
    assert token not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "/nowhere"], "--inventory /nowhere: not there"),
        (["--project", "/"], "--project"),
        (["--limit", "nobody"], "mend --limit nobody"),
    ],
)
def test_wrong_input_is_refused_in_one_line(arguments: list[str], said: str) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("loadfleet: ")
    assert said in line
