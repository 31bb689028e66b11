"""What fleets of test machines use and change on the controller, and how it is put back.

Commands, locks, cgroups, mounts; a fleet's bridge and firewall; the kernel settings that all
fleets share, with the record of those that are up.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import BaseModel, ConfigDict

SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    # A booted systemd holds six inotify instances or so: the usual 128 end at 20 machines.
    "fs/inotify/max_user_instances": 8192,
}

HOST_STATE = Path("/run/loadfleet-fleet.json")
"""Which fleets are up, and how the kernel was set before the first: /run lasts as long as that."""
HOST_LOCK = Path("/run/lock/loadfleet-fleet.lock")
NAMESPACES = Path("/run/netns")
NSPAWN = Path("/run/systemd/nspawn")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE_S = 300.0
POLL_S = 0.1

# Machines reach each other, the controller at its address on the bridge, and of the rest what apt
# and pip need: DNS, http, https. 169.254 is where clouds hand out credentials.
FIREWALL = """
    chain way_out {{
        type nat hook postrouting priority 100
        ip saddr {gateway}/24 ip daddr != {gateway}/24 masquerade
    }}
    chain registries {{
        type filter hook forward priority 0
        iifname "{bridge}" oifname "{bridge}" accept
        iifname "{bridge}" ip daddr 169.254.0.0/16 counter reject
        iifname "{bridge}" meta l4proto {{ tcp, udp }} th dport 53 accept
        iifname "{bridge}" tcp dport {{ 80, 443 }} accept
        iifname "{bridge}" counter reject
        oifname "{bridge}" ct state established,related accept
        oifname "{bridge}" counter reject
    }}
    chain controller {{
        type filter hook input priority 0
        iifname "{bridge}" ip daddr {gateway} accept
        iifname "{bridge}" meta l4proto {{ tcp, udp }} th dport 53 accept
        iifname "{bridge}" counter reject
    }}
"""


class FleetError(RuntimeError):
    """One line: what is wrong, where, what to do."""


class CommandFailed(subprocess.CalledProcessError):
    """A command that failed, with what it said."""

    def __str__(self) -> str:
        said = "\n".join(text.strip() for text in (self.stdout, self.stderr) if text)
        return f"{' '.join(self.cmd)} ended with {self.returncode}: {said[-2000:]}"


class HostRecord(BaseModel):
    """The fleets that are up on this host (network: state folder), and what they changed of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fleets: dict[str, Path] = {}
    sysctls_before: dict[str, int] = {}
    netns_was_mounted: bool = True


# Commands and files


def need_root() -> None:
    if os.geteuid() != 0:
        raise FleetError("test machines need root: run this as root")


def call(
    *command: str,
    check: bool = True,
    stdin: str | None = None,
    timeout: float = PATIENCE_S,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs a command on the controller; CommandFailed unless it ends with 0 or not ``check``."""
    given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8"}, pass_fds=pass_fds, **given,
    )  # fmt: skip
    return checked(done, command) if check else done


def checked(
    done: subprocess.CompletedProcess[str], command: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """What ``done`` is if it ended with 0; else CommandFailed, which shows it as ``command``."""
    if done.returncode:
        raise CommandFailed(done.returncode, command, done.stdout, done.stderr)
    return done


def wait_for(condition: Callable[[], object], what: str, timeout: float = PATIENCE_S) -> None:
    """Until ``condition`` is true; FleetError with ``what`` if it does not become so in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise FleetError(f"not within {timeout:.0f} s: {what}")
        time.sleep(POLL_S)


def write_whole(file: Path, text: str) -> None:
    """A reader sees the file as it was or as it is to be."""
    aside = file.with_name(f".{file.name}.new")
    aside.write_text(text)
    aside.replace(file)


@contextmanager
def locked(file: Path) -> Iterator[IO[str]]:
    """Holds the lock on ``file`` against other processes and threads; waits for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle


# Cgroups


class Cgroup:
    """A cgroup of version 2: everything that runs for a machine or a fleet, to ask or to end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def mounted() -> Path:
        """Where the controller has cgroup2; FleetError where it has none."""
        for mount in mounts():
            if mount.kind == "cgroup2":
                return mount.point
        raise FleetError("cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")

    def make(self) -> Cgroup:
        """Makes it, with those of the usual controllers that the one above it has."""
        self.path.mkdir(parents=True, exist_ok=True)
        has = set((self.path / "cgroup.controllers").read_text().split())
        for controller in has & {"cpu", "io", "memory", "pids"}:
            (self.path / "cgroup.subtree_control").write_text(f"+{controller}")
        return self

    def joined(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` in it."""
        join = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["sh", "-c", join, str(self.path), *command]

    def processes(self) -> list[int]:
        """Process ids in it and below it."""
        found: list[int] = []
        for group, _, _ in os.walk(self.path):
            with suppress(OSError):  # it went away in between
                found += [int(pid) for pid in Path(group, "cgroup.procs").read_text().split()]
        return found

    def populated(self) -> bool:
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """Ends all its processes at once, as a loss of power does, and removes it.

        It must not be used again: after cgroup.kill the kernel (6.18 is one) also kills what is
        started from a cgroup that was there into a newer one, which systemd 257 does.
        """
        if self.path.exists():
            (self.path / "cgroup.kill").write_text("1")
            wait_for(lambda: not self.populated(), f"the end of the processes in {self.path}")
            self.remove()

    def remove(self) -> None:
        for folder, _, _ in os.walk(self.path, topdown=False):
            Path(folder).rmdir()


def spawn(group: Cgroup, command: Sequence[str], log: Path) -> None:
    """Starts a command in ``group`` that outlives this process; what it says goes to ``log``."""
    with log.open("a") as output:
        subprocess.run(
            group.joined(["setsid", "--fork", *command]),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
        )  # fmt: skip


# Mounts


class Mount(NamedTuple):
    point: Path
    kind: str
    options: str


def mounts() -> list[Mount]:
    text = Path("/proc/self/mounts").read_text()
    # Blanks in paths are octal there.
    lines = [
        [
            re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), part)
            for part in line.split()
        ]
        for line in text.splitlines()
    ]
    return [Mount(Path(point), kind, options) for _, point, kind, options, *_ in lines]


def unmount_below(folder: Path) -> None:
    for mount in reversed(mounts()):
        if folder in mount.point.parents:
            # Lazy: somebody may still look into it.
            call("umount", "--lazy", str(mount.point))


def remove_tree(folder: Path) -> None:
    """Never through a mount: what is mounted there is somebody else's."""
    call("rm", "-rf", "--one-file-system", str(folder))


def forget_in_nspawn(root: Path, name: str) -> None:
    """Removes what systemd-nspawn leaves of a machine that lost its power, or always."""
    for folder in ("propagate", "unix-export"):
        with suppress(OSError):
            (NSPAWN / folder / name).rmdir()
    tree = root.stat()
    (NSPAWN / "locks" / f"inode-{tree.st_dev}:{tree.st_ino}").unlink(missing_ok=True)


# The network


def make_bridge(name: str, gateway: str) -> None:
    """The bridge of a fleet with the address ``gateway``, unless it is there, and its firewall."""
    if not Path("/sys/class/net", name).exists():
        # Without an address of its own it takes a port's, and a delay changes its ports.
        mac = "02:6c:66:" + ":".join(f"{int(octet):02x}" for octet in gateway.split(".")[:3])
        call("ip", "link", "add", name, "address", mac, "type", "bridge")
    # Without an IPv6 address of its own the controller cannot be reached past the firewall.
    call("ip", "link", "set", name, "addrgenmode", "none")
    call("ip", "link", "set", name, "up")
    call("ip", "address", "replace", f"{gateway}/24", "dev", name)
    nft_table(f"ip {name}", FIREWALL.format(bridge=name, gateway=gateway))


def remove_network(tag: str) -> None:
    """Removes the network namespaces, links and nftables tables of the fleet with this ``tag``."""
    if not shutil.which("nft", path=PATH):
        return  # then it was never connected
    for namespace in NAMESPACES.glob(f"{tag}-*"):
        call("ip", "netns", "del", namespace.name)
    for link in list(Path("/sys/class/net").iterdir()):
        if is_tagged(link.name, tag):
            call("ip", "link", "del", link.name, check=False)  # gone with its other end
    tables = call("nft", "list", "tables").stdout.splitlines()
    for _, family, name in (line.split() for line in tables):
        if is_tagged(name, tag):
            call("nft", "delete", "table", family, name)


def is_tagged(name: str, tag: str) -> bool:
    return name == tag or name.startswith(f"{tag}-")


def nft_table(table: str, text: str) -> None:
    """Makes an nftables table, in place of the one of that name."""
    call(
        "nft", "-f", "-", stdin=f"table {table}\ndelete table {table}\ntable {table} {{\n{text}}}\n"
    )


def nameservers() -> str:
    """resolv.conf for a machine: one at 127.0.0.53 serves the controller only."""
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = file.read_text() if file.exists() else ""
        if found := re.findall(r"^nameserver\s+(?!127\.|::1)\S+$", text, re.MULTILINE):
            return "\n".join(found) + "\n"
    raise FleetError("/etc/resolv.conf names no server that another machine can ask")


# The kernel, which all fleets share


def host_record() -> HostRecord:
    if not HOST_STATE.exists():
        return HostRecord()
    return HostRecord.model_validate_json(HOST_STATE.read_text())


def claim_host(network: str, state: Path) -> None:
    """Takes ``network`` for the fleet in ``state``; the first fleet sets the kernel for all."""
    with locked(HOST_LOCK):
        record = host_record()
        owner = record.fleets.get(network, state)
        if owner != state:
            raise FleetError(
                f"network {network} belongs to the fleet in {owner}: take another network, or "
                f"end that one with --state {owner} --network {network} down"
            )
        before = {name: sysctl(name) for name in SYSCTLS}
        if not record.fleets:
            mounted = any(mount.point == NAMESPACES for mount in mounts())
            record = HostRecord(sysctls_before=before, netns_was_mounted=mounted)
        fleets = record.fleets | {network: state}
        write_whole(HOST_STATE, record.model_copy(update={"fleets": fleets}).model_dump_json())
        for name, value in SYSCTLS.items():
            set_sysctl(name, max(value, before[name]))


def release_host(network: str, state: Path) -> None:
    """Gives ``network`` back; the last fleet leaves the kernel as the first one found it."""
    with locked(HOST_LOCK):
        record = host_record()
        if record.fleets.get(network) != state:
            return
        fleets = {other: its for other, its in record.fleets.items() if other != network}
        if fleets:
            write_whole(HOST_STATE, record.model_copy(update={"fleets": fleets}).model_dump_json())
            return
        for name, value in record.sysctls_before.items():
            set_sysctl(name, value)
        if not record.netns_was_mounted and not any(NAMESPACES.iterdir()):
            call("umount", str(NAMESPACES))
        HOST_STATE.unlink()


def sysctl(name: str) -> int:
    return int(Path("/proc/sys", name).read_text())


def set_sysctl(name: str, value: int) -> None:
    if sysctl(name) != value:
        Path("/proc/sys", name).write_text(str(value))
