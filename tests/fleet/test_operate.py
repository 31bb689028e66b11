"""loadfleet watch, logs and exec through a jump host, at a port and as a user of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.status import State, Status
from machines import DEFAULT_STATE, Machine, Machines

ROOT = Path(__file__).parents[2]
LOADFLEET = Path(sys.executable).parent / "loadfleet"
USER, PORT = "bench", 2222
HOME = "/var/lib/loadfleet"
RUNS = f"{HOME}/runs/run-1"


@dataclass(frozen=True)
class JumpSite:
    folder: Path
    jump: Machine
    behind: Machine

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def loadfleet(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOADFLEET, command, "-i", self.folder / "hosts.yml", *arguments],
            capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        )  # fmt: skip

    def watch(self) -> dict[str, Any]:
        done = self.loadfleet("watch", "--once", "--json")
        assert done.stdout, done.stderr
        return {host["host"]: host for host in json.loads(done.stdout)["hosts"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JumpSite]:
    fleet = Machines(DEFAULT_STATE / "test-operate", "10.96.0", bases=DEFAULT_STATE)
    fleet.down()
    try:
        made = fleet.up(dict.fromkeys(("jump", "behind"), "bookworm"))
        site = JumpSite(tmp_path_factory.mktemp("operate"), made["jump"], made["behind"])
        let_in_from_the_jump_host_alone(site, Path(f"{fleet.key}.pub").read_text())
        write_inventory(site, fleet)
        start_a_run(site.behind)
        yield site
    finally:
        fleet.down()
        shutil.rmtree(fleet.state)


def let_in_from_the_jump_host_alone(site: JumpSite, key: str) -> None:
    behind = site.behind
    behind.run("useradd", "--create-home", "--shell", "/bin/sh", USER)
    behind.run("install", "-d", "-o", USER, "-m", "700", f"/home/{USER}/.ssh")
    behind.write(f"/home/{USER}/.ssh/authorized_keys", key)
    behind.write(f"/etc/sudoers.d/{USER}", f"{USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    behind.write(
        "/etc/ssh/sshd_config.d/operate.conf",
        f"Port 22\nPort {PORT}\nAllowUsers ops {USER}@{site.jump.address}\n",
    )
    behind.run("systemctl", "restart", "ssh")
    site.jump.run("sh", "-c", "echo AllowTcpForwarding yes > /etc/ssh/sshd_config.d/operate.conf")
    site.jump.run("systemctl", "restart", "ssh")


def write_inventory(site: JumpSite, fleet: Machines) -> None:
    """The jump host is in an ssh_config; that and the known hosts are ansible_ssh_common_args."""
    names = f"{site.jump.address} {site.jump.host_key().split(maxsplit=1)[1]}"
    names += f"\n[{site.behind.address}]:{PORT} {site.behind.host_key().split(maxsplit=1)[1]}"
    site.known_hosts.write_text(f"{names}\n")
    config = site.folder / "ssh_config"
    config.write_text(
        f"Host gate\n  HostName {site.jump.address}\n  User ops\n\n"
        f"Host *\n  IdentityFile {fleet.key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {site.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
    )
    behind = {
        "ansible_host": site.behind.address,
        "ansible_port": PORT,
        "ansible_user": "{{ bench_user }}",
        "ansible_ssh_common_args": shlex.join(["-F", str(config), "-J", "gate"]),
    }
    jump = {"ansible_host": "gate", "ansible_ssh_common_args": shlex.join(["-F", str(config)])}
    common = {"ansible_python_interpreter": "/usr/bin/python3", "bench_user": USER}
    tree = {"all": {"hosts": {"jump": jump, "behind": behind}, "vars": common}}
    (site.folder / "hosts.yml").write_text(yaml.safe_dump(tree, sort_keys=False))


def start_a_run(machine: Machine) -> None:
    """What a running agent leaves: a status, a log, and a lock that is held."""
    now = utc_now()
    status = Status(
        run_id="run-1", plan_hash="0" * 64, seq=1, state=State.RUNNING, phase="load", phase_index=2,
        phase_count=8, done=0, total=0, unit="steps", rate_per_s=0, tokens_per_s=0, message="",
        attempt=1, started_utc=now, updated_utc=now, last_progress_utc=now, pid=1,
        systemd_unit=None, boot_id=machine.boot_id(),
    )  # fmt: skip
    machine.write(f"{RUNS}/status.json", status.model_dump_json(indent=2))
    machine.write(f"{RUNS}/agent.log", "one\ntwo\n")
    machine.write(f"{HOME}/run.lock", '{"run_id": "run-1"}')
    machine.run("systemd-run", "--unit=held", "flock", f"{HOME}/run.lock", "sleep", "infinity")
    machine.run("sh", "-c", f"until ! flock -n {HOME}/run.lock true; do sleep 0.1; done")


def test_watch_reads_through_the_jump_host_as_the_inventorys_user(site: JumpSite) -> None:
    seen = site.watch()
    assert seen["jump"]["state"] == "no run"
    assert (seen["behind"]["state"], seen["behind"]["phase"]) == ("running", "load")


def test_logs_and_exec_take_the_same_way(site: JumpSite) -> None:
    done = site.loadfleet("logs", "behind", "-n", "1")
    assert (done.returncode, done.stdout) == (0, "two\n"), done.stderr
    line = "id -un; echo $SSH_CONNECTION"
    done = site.loadfleet("exec", "--limit", "behind", "--", line)
    assert done.returncode == 0, done.stderr
    user, way = done.stdout.splitlines()
    assert user == f"behind | {USER}"
    assert way.split()[2] == site.jump.address
    assert way.split()[-1] == str(PORT)
    become = ("-e", "ansible_become=true", "--limit", "behind", "--", "id -un")
    assert site.loadfleet("exec", *become).stdout == "behind | root\n"


def test_without_the_jump_host_nobody_gets_in(site: JumpSite) -> None:
    options = f"-F {site.folder}/ssh_config"
    done = site.loadfleet(
        "exec", "--limit", "behind", "-e", json.dumps({"ansible_ssh_common_args": options}),
        "--", "true",
    )  # fmt: skip
    assert done.returncode == 1
    assert "the login was refused" in done.stderr


def test_a_host_key_that_is_not_known_is_refused(site: JumpSite) -> None:
    before = site.known_hosts.read_text()
    site.known_hosts.write_text(before.splitlines()[0] + "\n")
    try:
        seen = site.watch()
    finally:
        site.known_hosts.write_text(before)
    assert seen["jump"]["state"] == "no run"
    assert seen["behind"]["state"] == "unreachable"
    assert "host key is not known" in seen["behind"]["note"]


def test_a_cut_cable_and_a_lost_power_are_told(site: JumpSite) -> None:
    site.behind.cut()
    try:
        seen = site.watch()
        assert seen["jump"]["state"] == "no run"
        assert seen["behind"]["state"] == "unreachable"
    finally:
        site.behind.heal()
    assert site.watch()["behind"]["state"] == "running"
    site.behind.crash()
    site.behind.start()
    site.behind.wait_for_ssh()
    seen = site.watch()
    assert (seen["behind"]["state"], seen["behind"]["note"]) == (
        "rebooted",
        "the host was rebooted during load",
    )
