"""A real sshd on loopback, of this user, with a key of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd here: install openssh-server")


@dataclass(frozen=True)
class Sshd:
    """A server that is up. ``config`` is an ssh_config without anything of this user's."""

    folder: Path
    port: int
    user: str
    key: Path
    config: Path
    known_hosts: Path

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(encoding="utf-8")

    @property
    def host_key(self) -> str:
        return (self.folder / "host_key.pub").read_text(encoding="utf-8").strip()

    def variables(self, **changes: Any) -> dict[str, Any]:
        """A host of an inventory that is this server."""
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": f"-F {self.config}",
            "ansible_ssh_timeout": 120,
        } | changes


@contextmanager
def start_sshd(folder: Path) -> Iterator[Sshd]:
    """Ended with the block. Its own host key is known."""
    assert SSHD is not None
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = folder / "sshd_config"
    server.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/key.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n"
        "PermitRootLogin prohibit-password\nLogLevel VERBOSE\nAllowTcpForwarding yes\n",
        encoding="utf-8",
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    config, known = folder / "ssh_config", folder / "known_hosts"
    config.write_text(
        f"UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\nIdentityAgent none\n"
        "IdentitiesOnly yes\n",
        encoding="utf-8",
    )
    public = (folder / "host_key.pub").read_text(encoding="utf-8").split()
    known.write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n", encoding="utf-8")
    log = (folder / "sshd.log").open("w")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(server)], stderr=log, stdout=log)
    try:
        wait_until(lambda: _listens(port, process), "sshd")
        yield Sshd(folder, port, getpass.getuser(), folder / "key", config, known)
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "sshd ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
