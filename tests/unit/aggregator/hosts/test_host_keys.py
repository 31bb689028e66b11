"""A host that answers with another key than the known one is refused by every command.

With a real sshd, whose key is not the one in known_hosts: it may be somebody in between. None of
the commands may log in there, for what they send (a plan, sudo's password) is not for him.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from waiting import LONG_S

from ..helpers import BIN
from ..sshd import Sshd, needs_sshd, start_sshd

PROJECT = Path(__file__).parents[4]
COMMANDS = {
    "watch": ("watch", "--once"),
    "logs": ("logs", "there"),
    "exec": ("exec", "-i", "INVENTORY", "--", "true"),
    "stop": ("stop",),
    "doctor": ("doctor", "--remote"),
    "run": ("run",),
    "provision": ("provision",),
}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that has another key than its known_hosts says."""
    folder = tmp_path_factory.mktemp("stranger")
    with start_sshd(folder / "sshd") as server:
        other = folder / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        kind, text, *_ = Path(f"{other}.pub").read_text().split()
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {text}\n")
        yield server


def run(sshd: Sshd, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "loadfleet_profile": "null-engine",
        "loadfleet_model": {"source": "tiny"},
        "loadfleet_dataset": {"source": "synthetic"},
        "loadfleet_length": {"samples": 16, "server_queries": 500},
        "loadfleet_home": str(folder / "home"),
        "loadfleet_results_dir": str(folder / "results"),
        "loadfleet_reports_dir": str(folder / "reports"),
        "ansible_python_interpreter": str(BIN / "python"),
    }
    inventory = folder / "hosts.yml"
    tree = {"all": {"hosts": {"there": sshd.variables()}, "vars": settings}}
    inventory.write_text(yaml.safe_dump(tree))
    given = [str(inventory) if word == "INVENTORY" else word for word in words]
    if "INVENTORY" not in words:
        given += ["-i", str(inventory)]
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("ANSIBLE_CONFIG", None)
    return subprocess.run(
        [BIN / "loadfleet", *given],
        capture_output=True, text=True, timeout=2 * LONG_S, check=False, cwd=PROJECT,
        env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@needs_sshd
@pytest.mark.parametrize("command", COMMANDS)
def test_a_changed_host_key_is_refused(stranger: Sshd, tmp_path: Path, command: str) -> None:
    known = stranger.known_hosts.read_text()
    done = run(stranger, tmp_path, *COMMANDS[command])
    said = (done.stdout + done.stderr).lower()
    assert "host key" in said or "host identification" in said, said
    assert done.returncode != 0 or command == "watch", said
    assert "Accepted" not in stranger.log
    assert stranger.known_hosts.read_text() == known


@needs_sshd
def test_init_refuses_a_host_that_answers_with_a_changed_key(
    stranger: Sshd, tmp_path: Path
) -> None:
    """init takes ssh's own settings: known_hosts of the user's ssh_config."""
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    address = f"there={stranger.user}@127.0.0.1:{stranger.port}"
    options = f"-F {stranger.config}"
    done = subprocess.run(
        [
            BIN / "loadfleet", "init", address, "--key", stranger.key,
            "--output", tmp_path / "inventory",
        ],
        capture_output=True, text=True, timeout=2 * LONG_S, check=False, cwd=PROJECT,
        env=environment | {"ANSIBLE_SSH_COMMON_ARGS": options}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = (done.stdout + done.stderr).lower()
    assert "host key" in said, said
    assert "Accepted" not in stranger.log
