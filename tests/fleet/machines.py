"""A fleet of test machines on this one: real file systems, addresses, systemd, sshd; one kernel.

Each machine is a Debian tree (an overlay on one base tree a release) that systemd-nspawn boots in
a network namespace of its own, on a bridge with this machine, the controller. README.md says what
such machines can and cannot show. Needs root, Linux 5.14, Debian or Ubuntu.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, NamedTuple, NoReturn

import typer
import yaml
from pydantic import BaseModel, ConfigDict

DEFAULT_STATE = Path("/var/tmp/loadfleet-fleet")
DEFAULT_NETWORK = "10.77.0"
USER = "ops"
"""Who logs in: no password, sudo without one, as cloud images have it."""

TOOLS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Commands of the controller and the Debian packages that have them."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "rsync", "curl", "gnupg"),
    *("python3", "python3-apt", "python3-venv", "ca-certificates", "apt-utils", "procps", "kmod"),
    *("iproute2", "iputils-ping", "nftables", "iptables", "pciutils"),
)
"""What every machine has: a small server image."""

MASKED_UNITS = (
    # The network is given from outside; timers of the distribution would hold dpkg's lock.
    *("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer"),
    # The kernel's devices are the controller's.
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("getty@.service", "console-getty.service"),
)

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_CAS = Path("/usr/local/share/ca-certificates")

BASE_FILES = {
    "etc/fstab": "",
    "etc/hostname": "",
    "etc/machine-id": "",  # empty: each machine makes its own at its first boot
    "etc/pip.conf": f"[global]\ncert = {CA_BUNDLE}\n",
    "etc/ssh/sshd_config.d/fleet.conf": "PasswordAuthentication no\nUseDNS no\nMaxStartups 100\n",
    f"etc/sudoers.d/{USER}": f"{USER} ALL=(ALL) NOPASSWD:ALL\n",
}

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

SYSFS_TREES = ("/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/kernel")
"""nspawn mounts these after its binds and hides what was bound there: bound again from fstab."""
PCI_DEVICES = "/sys/bus/pci/devices"
BOOT_ID = "proc/sys/kernel/random/boot_id"

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE_S = 300.0
BUILD_S = 3600.0
POLL_S = 0.1
NSPAWN_REBOOT = 133
"""Exit status of systemd-nspawn --keep-unit when its machine asked for a reboot."""

# A machine's power supply: boots it, again when it asks for a reboot. Each boot begins with a new
# network namespace, as firewall rules, addresses and sysctls do not outlive a real one; the cable
# (VETH, with its faults) stays.
POWER = f"""
set -e
cgroups=$1 group=$2 namespace=$3 bridge=$4 veth=$5 address=$6 gateway=$7; shift 7
network() {{
    ip -n "$namespace" link set eth0 down name "${{veth}}p" netns $$ 2> /dev/null || :
    ip netns del "$namespace" 2> /dev/null || :
    if [ ! -e "/sys/class/net/${{veth}}p" ]; then
        ip link del "$veth" 2> /dev/null || :
        ip link add "$veth" type veth peer name "${{veth}}p"
        ip link set "$veth" addrgenmode none master "$bridge"
        ip link set "$veth" up
    fi
    ip netns add "$namespace"
    ip link set "${{veth}}p" netns "$namespace" name eth0
    # A new one has it from the controller, which forwards.
    nsenter --net="{NAMESPACES}/$namespace" sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
    ip -n "$namespace" address add "$address/24" dev eth0
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set eth0 up
    ip -n "$namespace" route add default via "$gateway"
}}
while :; do
    network
    status=0
    # Two moves that must not be seen outside: nspawn wants cgroup2 alone in /sys/fs/cgroup, and
    # a cgroup of its own to make the machine's in. Slave: what is unmounted outside goes here too.
    unshare --mount --propagation slave sh -c '
        echo $$ > "$1/boot/cgroup.procs" && mount --bind "$0" /sys/fs/cgroup && shift && exec "$@"
    ' "$cgroups" "$group" "$@" || status=$?
    [ $status = {NSPAWN_REBOOT} ] || exit $status
done
"""

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


class MachineRecord(BaseModel):
    """What a machine is made from; ``binds`` are paths in the machine and what they show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    suite: str
    base: Path
    address: str
    binds: dict[str, Path]


class FleetRecord(BaseModel):
    """The machines of a fleet, written before the first of them is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: tuple[MachineRecord, ...] = ()


class HostRecord(BaseModel):
    """The fleets that are up on this host (network: state folder), and what they changed of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fleets: dict[str, Path] = {}
    sysctls_before: dict[str, int] = {}
    netns_was_mounted: bool = True


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


class Machine:
    """One machine. A command that fails raises CommandFailed unless ``check`` is false."""

    def __init__(self, fleet: Machines, record: MachineRecord) -> None:
        self.fleet = fleet
        self.record = record
        self.name = record.name
        self.suite = record.suite
        self.address = record.address
        self.folder = fleet.state / "machines" / self.name
        self.root = self.folder / "root"
        """Its root tree as seen from the controller; without what is mounted inside it."""
        self.console = self.folder / "console.log"
        self.link = f"{fleet.tag}-{self.address.rpartition('.')[2]}"
        """The controller's end of its network cable."""
        self.cgroup = Cgroup(fleet.cgroup.path / "machines" / self.name)
        self._delay = Cgroup(fleet.cgroup.path / "delays" / self.name)

    # Looking and doing

    def is_running(self) -> bool:
        """Whether its power is on."""
        return self.cgroup.populated()

    def command(self, *command: str) -> list[str]:
        """The command line that runs ``command`` in it as root, without its network and sshd.

        While the machine is off it runs on its disk only. Raises FleetError where it is booting.
        """
        environment = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"]
        if not self.is_running():
            return [*environment, "chroot", str(self.root), *command]
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        # The shell makes the process that enters --pid. nsenter would do that too, but stop with it
        # when a shutdown sends SIGSTOP to all, never go on, and so keep the machine from ending.
        enter = ["nsenter", "--target", str(self._init()), *namespaces, "--no-fork", *environment]
        inside = ["sh", "-c", '"$@"; exit $?', "sh", *command]
        # In the machine's cgroup, so that a loss of power ends it too.
        return Cgroup(self.cgroup.path / "commands").joined([*enter, *inside])

    def run(
        self,
        *command: str,
        check: bool = True,
        stdin: str | None = None,
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``command`` in it as root, also while it is cut off."""
        # A session of its own: what the command does to its process group must not reach us.
        line = ["setsid", "--wait", *self.command(*command)]
        done = call(*line, check=False, stdin=stdin, timeout=timeout)
        return checked(done, [f"{self.name}:", *command]) if check else done

    def ssh(
        self,
        *command: str,
        user: str = USER,
        check: bool = True,
        stdin: str | None = None,
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``command`` over ssh; its arguments arrive as they are given here."""
        line = self.ssh_command(*command, user=user)
        done = call(*line, check=False, stdin=stdin, timeout=timeout)
        return checked(done, [f"ssh {user}@{self.name}:", *command]) if check else done

    def ssh_command(self, *command: str, user: str = USER) -> list[str]:
        options = ["-F", "none", "-i", str(self.fleet.key), *self.fleet.ssh_options]
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]
        options += ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]
        return ["ssh", *options, f"{user}@{self.address}", *([shlex.join(command)] * bool(command))]

    def boot_id(self) -> str:
        """Another one each time it boots. Raises FleetError where it is off or booting."""
        try:
            return Path(f"/proc/{self._init()}/root/{BOOT_ID}").read_text().strip()
        except OSError:
            raise self._has_no_systemd() from None

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Writes a file of root's, making the folders it lacks."""
        script = 'mkdir -p "${1%/*}/" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", stdin=text)

    # Power

    def start(self) -> None:
        """Turns its power on, unless it is.

        Comes back at once: ``wait_for_ssh`` waits for the boot.
        """
        if self.is_running():
            return
        self._mount()
        # New ones: Cgroup.kill says why.
        self.cgroup.remove()
        self.cgroup.make()
        for part in ("power", "boot", "commands"):
            (self.cgroup.path / part).mkdir()
        spawn(Cgroup(self.cgroup.path / "power"), self._power_supply(), self.console)

    def wait_for_ssh(self, timeout: float = PATIENCE_S) -> None:
        """Until ``ops`` can log in; FleetError if its power goes off or it takes too long."""

        def answers() -> bool:
            self._must_be_on()
            return self.ssh("true", check=False, timeout=timeout).returncode == 0

        wait_for(answers, f"ssh to {self.name} (console: {self.console})", timeout)

    def reboot(self, timeout: float = PATIENCE_S) -> None:
        """Reboots it; comes back when the new boot answers over ssh."""
        before = self.boot_id()
        self.run("systemctl", "reboot", check=False)

        def boots_anew() -> bool:
            self._must_be_on()
            with suppress(FleetError):  # neither the old boot nor the new one
                return self.boot_id() != before
            return False

        wait_for(boots_anew, f"a new boot of {self.name} (console: {self.console})", timeout)
        self.wait_for_ssh(timeout)

    def power_off(self, timeout: float = PATIENCE_S) -> None:
        """Shuts it down; comes back when it is off."""
        if self.is_running():
            self.run("systemctl", "poweroff", check=False)
            wait_for(lambda: not self.is_running(), f"the shutdown of {self.name}", timeout)

    def crash(self) -> None:
        """Cuts its power: every process ends at once.

        What it wrote stays, synced or not: the kernel that holds it goes on.
        """
        self.cgroup.kill()

    # The network cable; each fault works in both directions, stays over reboots

    def cut(self) -> None:
        """Pulls the cable."""
        call("ip", "link", "set", self.link, "down")

    def heal(self) -> None:
        """Plugs the cable in again.

        ``clear`` is for the other faults.
        """
        call("ip", "link", "set", self.link, "up")

    def rate(self, kbit: float) -> None:
        """Makes the link slow, kbit/s."""
        bytes_s = round(kbit * 1000 / 8)
        burst = max(16_384, bytes_s // 50)
        bucket = f"tbf rate {bytes_s}bps burst {burst} latency 400ms"
        call("tc", "qdisc", "replace", "dev", self.link, "root", *bucket.split())
        # What the machine sends cannot wait in a queue of ours: what is too much is lost, after a
        # second's worth, which nftables lets through. Its packets must be those of a wire: one of
        # 64 KiB, for the card to cut, would never pass.
        self._segments(1)
        limit = f"limit rate over {bytes_s} bytes/second burst {burst} bytes drop"
        self._filter("rate", ingress=limit)

    def loss(self, percent: float) -> None:
        """Loses this share of the packets, in percent, at random."""
        drop = f"numgen random mod 10000 < {round(percent * 100)} drop"
        self._filter("loss", ingress=drop, egress=drop)

    def delay(self, ms: float) -> None:
        """Holds every packet this many ms: a round trip takes twice that longer."""
        self._end_delay()
        self._delay.make()
        script = str(Path(__file__).with_name("link_delay.py"))
        command = [sys.executable, script, self.fleet.tag, self.link, str(ms)]
        log = self.folder / "delay.log"
        spawn(self._delay, command, log)
        wait_for(lambda: self._master() == f"{self.link}m", f"the delay of {self.name} (see {log})")

    def clear(self) -> None:
        """Ends rate, loss and delay."""
        call("tc", "qdisc", "del", "dev", self.link, "root", check=False)
        for fault in ("rate", "loss"):
            call("nft", "delete", "table", "netdev", f"{self.link}-{fault}", check=False)
        self._segments(65_535)
        self._end_delay()

    # The disk

    def disk(self, path: str, size: str) -> None:
        """Puts an empty disk of ``size`` ("1M") over a folder, with its owner and mode."""
        owner = self.run("stat", "-c", "uid=%u,gid=%g,mode=%a", path).stdout.strip()
        self.run("mount", "-t", "tmpfs", "-o", f"size={size},{owner}", "small-disk", path)

    def undisk(self, path: str) -> None:
        """Takes it away, with all that was written to it."""
        self.run("umount", path)

    # Making it

    def check(self) -> None:
        """FleetError if it cannot be made as its record says."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", self.name):
            raise FleetError(f"machine {self.name!r}: up to 40 of a-z, 0-9, -, a letter first")
        for path, source in self._binds().items():
            if path in self.record.binds and not source.exists():
                raise FleetError(f"{self.name}: no {source} to show as {path}")
        for path in self._late_binds():
            if not Path(path).exists():
                raise FleetError(f"{self.name}: this kernel has no {path} to put another over")

    def make(self) -> None:
        """Its disk and what makes it different from others, unless it has them."""
        made = self.folder / "made"
        if made.exists():
            return
        # Left by a process that ended in the middle.
        unmount_below(self.folder)
        remove_tree(self.folder)
        for part in ("upper", "work", "root", "docker", "no-devices"):
            (self.folder / part).mkdir(parents=True)
        self._mount()
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        names = {self.fleet.gateway: "controller"} | {
            machine.address: machine.name for machine in self.fleet.machines.values()
        }
        names |= {"127.0.0.1": "localhost", "::1": "localhost ip6-localhost"}
        hosts = "".join(f"{address} {name}\n" for address, name in names.items())
        (etc / "hosts").write_text(hosts)
        (etc / "resolv.conf").write_text(nameservers())
        late = self._late_binds().items()
        (etc / "fstab").write_text("".join(f"{at} {path} none bind,ro 0 0\n" for path, at in late))
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{self.name}",
             "-f", str(etc / "ssh" / "ssh_host_ed25519_key"))  # fmt: skip
        key = self.fleet.key.with_suffix(".pub").read_text()
        for user in ("root", USER):
            self.write(f"/{'' if user == 'root' else 'home/'}{user}/.ssh/authorized_keys", key)
        self.run("chown", "-R", f"{USER}:", f"/home/{USER}/.ssh")
        made.touch()

    def host_key(self) -> str:
        """Its line in known_hosts."""
        key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
        return f"{self.name},{self.address} {key[0]} {key[1]}\n"

    def _mount(self) -> None:
        if not self.root.is_mount():
            layers = f"lowerdir={self.record.base},upperdir={self.folder / 'upper'}"
            options = f"{layers},workdir={self.folder / 'work'}"
            call("mount", "-t", "overlay", self.tagged_name, "-o", options, str(self.root))

    @property
    def tagged_name(self) -> str:
        """Its name among everything on the controller."""
        return f"{self.fleet.tag}-{self.name}"

    def _binds(self) -> dict[str, Path]:
        """Path in the machine: path on the controller."""
        # The controller's PCI devices are none of its business.
        nothing = {PCI_DEVICES: self.folder / "no-devices"} if Path(PCI_DEVICES).exists() else {}
        # overlay2 cannot stand on an overlay: images go to the controller's own disk.
        return nothing | {"/var/lib/docker": self.folder / "docker"} | self.record.binds

    def _late_binds(self) -> dict[str, str]:
        """Paths of binds below a tree of sysfs, and where in the machine nspawn binds them."""
        trees = tuple(f"{tree}/" for tree in SYSFS_TREES)
        late = [path for path in self._binds() if f"{path}/".startswith(trees)]
        return {path: f"/run/host/bind/{number}" for number, path in enumerate(late)}

    def _power_supply(self) -> list[str]:
        late = self._late_binds()
        pairs = [(str(at), late.get(path, path)) for path, at in self._binds().items()]
        # PCI addresses have colons.
        binds = ["--bind=" + ":".join(p.replace(":", r"\:") for p in pair) for pair in pairs]
        nspawn = [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
            f"--directory={self.root}", f"--machine={self.tagged_name}", f"--hostname={self.name}",
            f"--network-namespace-path={NAMESPACES / self.tagged_name}",
            "--resolv-conf=off", "--timezone=off", "--console=pipe",
            # A machine of its own may do everything, and run dockerd.
            "--capability=all", "--system-call-filter=@keyring bpf", "--bind=/dev/fuse", *binds,
        ]  # fmt: skip
        fleet = self.fleet
        return [
            "env", "-i", f"PATH={PATH}", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network",
            "sh", "-c", POWER, "power", str(Cgroup.mounted()), str(self.cgroup.path),
            self.tagged_name, fleet.tag, self.link, self.address, fleet.gateway, *nspawn,
        ]  # fmt: skip

    def _init(self) -> int:
        """Process id of its systemd, as the controller counts."""
        boot = self.cgroup.path / "boot" / "payload"
        for group in (boot / "init.scope", boot):
            for pid in Cgroup(group).processes() if group.exists() else ():
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if re.search(r"^Name:\tsystemd\n(.*\n)*NSpid:\t\d+\t1$", status, re.MULTILINE):
                    return pid
        raise self._has_no_systemd()

    def _has_no_systemd(self) -> FleetError:
        what = "is booting or shutting down" if self.is_running() else "is off"
        return FleetError(f"{self.name} {what}: {self._last_words()}")

    def _must_be_on(self) -> None:
        if not self.is_running():
            raise FleetError(f"{self.name} went off: {self._last_words()}")

    def _last_words(self) -> str:
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return f"its console {self.console} ends with {text[-500:]!r}"

    def _master(self) -> str:
        master = Path(f"/sys/class/net/{self.link}/master")
        return master.readlink().name if master.is_symlink() else ""

    def _filter(self, fault: str, **rules: str) -> None:
        """An nftables table on the link with one rule a hook, in place of the one before."""
        table = f"netdev {self.link}-{fault}"
        chains = "".join(
            f'chain {hook} {{ type filter hook {hook} device "{self.link}" priority 0; {rule}; }}\n'
            for hook, rule in rules.items()
        )
        nft_table(table, chains)

    def _segments(self, most: int) -> None:
        """How many TCP segments its network card takes at once."""
        card = ("ip", "-n", self.tagged_name, "link", "set", "eth0", "gso_max_segs", str(most))
        # A boot that begins takes the card out of one network namespace into the next.
        wait_for(lambda: call(*card, check=False).returncode == 0, f"the card of {self.name}")

    def _end_delay(self) -> None:
        self._delay.kill()
        # What the process would do on its own if it were asked, also after it was killed.
        if self._master() not in ("", self.fleet.tag):
            call("ip", "link", "set", self.link, "master", self.fleet.tag)
        call("ip", "link", "del", f"{self.link}m", check=False)


class Machines:
    """A fleet: a bridge with a way out to package registries, base trees, machines.

    Everything it makes carries its ``tag`` in its name, so that any process can find it and take
    it away. Every fleet on a controller has a network (a /24 of 10.0.0.0/8) and a ``state`` folder
    of its own; base trees are in ``bases`` (by default ``state``) and may be shared.
    """

    def __init__(
        self,
        state: Path = DEFAULT_STATE,
        network: str = DEFAULT_NETWORK,
        bases: Path | None = None,
    ) -> None:
        octets = re.fullmatch(r"10\.(\d{1,3})\.(\d{1,3})", network)
        if not octets or any(int(octet) > 255 for octet in octets.groups()):
            raise FleetError(f"network {network}: give the first three numbers of a /24, 10.X.Y")
        self.state = state.absolute()
        self.bases = (bases or state).absolute()
        self.network = network
        self.gateway = f"{network}.1"
        """The controller's address on the bridge: what it serves there the machines can reach."""
        self.tag = f"lf-{octets[1]}-{octets[2]}"
        """Name of the bridge, the cgroup and the firewall's table; others begin with it."""
        self.key = self.state / "key"
        self.known_hosts = self.state / "known_hosts"

    @property
    def ssh_options(self) -> list[str]:
        """Host keys are checked, and only against those of the fleet."""
        settings = {
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
        }
        return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]

    @property
    def cgroup(self) -> Cgroup:
        return Cgroup(Cgroup.mounted() / self.tag)

    @property
    def machines(self) -> dict[str, Machine]:
        """The machines there are, running or not, as the state folder says."""
        file = self.state / "fleet.json"
        if not file.exists():
            return {}
        record = FleetRecord.model_validate_json(file.read_text())
        return {machine.name: Machine(self, machine) for machine in record.machines}

    def machine(self, name: str) -> Machine:
        """One of them; FleetError if there is none of that name."""
        machines = self.machines
        if name not in machines:
            raise FleetError(f"no machine {name}: there is {', '.join(machines) or 'none'}")
        return machines[name]

    def prepare(self, suite: str, extra_packages: Sequence[str] = ()) -> Path:
        """The base tree of a Debian release, made where it is not there or made otherwise."""
        install_tools()
        return make_base(self.bases, suite, extra_packages)

    def up(
        self,
        machines: Mapping[str, str],
        *,
        binds: Mapping[str, Mapping[str, Path]] | None = None,
        extra_packages: Sequence[str] = (),
    ) -> dict[str, Machine]:
        """Starts machines (name: Debian release), all at once, and waits for ssh to each.

        ``binds`` gives a machine paths of the controller: ``{"m1": {"/sys/bus/pci/devices":
        folder}}``. Below /sys they are read-only and the path must be there in this kernel,
        except in /sys/module. ``extra_packages`` are in the base tree. Those that run already stay
        as they are; FleetError for one that was made otherwise.
        """
        install_tools()
        suites = sorted(set(machines.values()))
        with ThreadPoolExecutor() as pool:
            made = pool.map(lambda suite: make_base(self.bases, suite, extra_packages), suites)
            bases = dict(zip(suites, made, strict=True))
        with locked(self.state / "lock"):
            self._add(machines, bases, binds or {})
            claim_host(self.network, self.state)
            self._connect()
            self._make_key()
            wanted = [self.machine(name) for name in machines]
            with ThreadPoolExecutor(len(wanted) or 1) as pool:
                list(pool.map(lambda machine: (machine.make(), machine.start()), wanted))
            keys = [m.host_key() for m in self.machines.values() if (m.folder / "made").exists()]
            write_whole(self.known_hosts, "".join(keys))
        with ThreadPoolExecutor(len(wanted) or 1) as pool:
            list(pool.map(Machine.wait_for_ssh, wanted))
        return {machine.name: machine for machine in wanted}

    def down(self) -> None:
        """Stops and takes away everything but the base trees, also what others left half-made."""
        need_root()
        self.state.mkdir(parents=True, exist_ok=True)
        with locked(self.state / "lock"):
            if host_record().fleets.get(self.network, self.state) == self.state:
                self.cgroup.kill()
                self._disconnect()
            folder = self.state / "machines"
            for root in folder.glob("*/root"):
                forget_in_nspawn(root, f"{self.tag}-{root.parent.name}")
            unmount_below(folder)
            remove_tree(folder)
            for name in ("fleet.json", "known_hosts", "key", "key.pub", "inventory.yml"):
                (self.state / name).unlink(missing_ok=True)
            release_host(self.network, self.state)

    def write_inventory(
        self,
        path: Path,
        user: str = USER,
        *,
        group: str = "fleet",
        names: Sequence[str] | None = None,
        host_vars: Mapping[str, Mapping[str, object]] | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> Path:
        """Writes an Ansible inventory of all machines or those of ``names``, with become."""
        hosts = {
            machine.name: {
                "ansible_host": machine.address,
                **(host_vars or {}).get(machine.name, {}),
            }
            for machine in self.machines.values()
            if names is None or machine.name in names
        }
        shared = {
            "ansible_user": user,
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": shlex.join(self.ssh_options),
            "ansible_python_interpreter": "/usr/bin/python3",
            **(variables or {}),
        }
        tree = {"all": {"children": {group: {"hosts": hosts}}, "vars": shared}}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path

    def _add(
        self,
        machines: Mapping[str, str],
        bases: Mapping[str, Path],
        binds: Mapping[str, Mapping[str, Path]],
    ) -> None:
        """Writes down what is going to be made, before it is."""
        if strangers := sorted(set(binds) - set(machines)):
            raise FleetError(f"binds for {', '.join(strangers)}: not among the machines to start")
        known = {machine.name: machine.record for machine in self.machines.values()}
        for name, suite in machines.items():
            record = MachineRecord(
                name=name,
                suite=suite,
                base=bases[suite],
                address=known[name].address if name in known else self._free_address(known),
                binds={path: at.absolute() for path, at in binds.get(name, {}).items()},
            )
            Machine(self, record).check()
            if known.setdefault(name, record) != record:
                raise FleetError(f"{name} is there, of another release or with other binds: down")
        fleet = FleetRecord(machines=tuple(known.values()))
        write_whole(self.state / "fleet.json", fleet.model_dump_json(indent=2))

    def _free_address(self, known: Mapping[str, MachineRecord]) -> str:
        taken = {record.address for record in known.values()}
        for last in range(11, 255):
            if (address := f"{self.network}.{last}") not in taken:
                return address
        raise FleetError("a fleet has 244 machines at the most")

    def _make_key(self) -> None:
        if not self.key.with_suffix(".pub").exists():
            self.key.unlink(missing_ok=True)
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", str(self.key))

    def _connect(self) -> None:
        """The bridge, the firewall and the cgroups, each unless it is there."""
        if not Path("/sys/class/net", self.tag).exists():
            # Without an address of its own it takes a port's, and a delay changes its ports.
            mac = "02:6c:66:" + ":".join(f"{int(octet):02x}" for octet in self.network.split("."))
            call("ip", "link", "add", self.tag, "address", mac, "type", "bridge")
        # Without an IPv6 address of its own the controller cannot be reached past the firewall.
        call("ip", "link", "set", self.tag, "addrgenmode", "none")
        call("ip", "link", "set", self.tag, "up")
        call("ip", "address", "replace", f"{self.gateway}/24", "dev", self.tag)
        nft_table(f"ip {self.tag}", FIREWALL.format(bridge=self.tag, gateway=self.gateway))
        self.cgroup.make()
        for part in ("machines", "delays"):
            Cgroup(self.cgroup.path / part).make()

    def _disconnect(self) -> None:
        if not shutil.which("nft", path=PATH):
            return  # then it was never connected
        for namespace in NAMESPACES.glob(f"{self.tag}-*"):
            call("ip", "netns", "del", namespace.name)
        for link in self._ours(link.name for link in Path("/sys/class/net").iterdir()):
            call("ip", "link", "del", link, check=False)  # gone with its other end
        tables = call("nft", "list", "tables").stdout.splitlines()
        for _, family, name in (line.split() for line in tables):
            if self._ours([name]):
                call("nft", "delete", "table", family, name)

    def _ours(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name == self.tag or name.startswith(f"{self.tag}-")]


# Base trees


def make_base(bases: Path, suite: str, extra_packages: Sequence[str] = ()) -> Path:
    """The tree of a Debian release in ``bases``; two that want it at once make it once.

    It is made anew when the packages or this controller's sources or CAs are not those it was made
    with. Raises FleetError while machines stand on the one to replace.
    """
    tree = bases / "+".join([f"base-{suite}", *sorted(set(extra_packages))])
    packages = [*PACKAGES, *sorted(set(extra_packages))]
    sources = debian_sources(suite)
    recipe = json.dumps([suite, packages, sources, MASKED_UNITS, BASE_FILES, digest_of_cas()])
    note = bases / f"{tree.name}.recipe"
    bases.mkdir(parents=True, exist_ok=True)
    with locked(bases / f"{tree.name}.lock") as lock:
        if tree.is_dir() and note.exists() and note.read_text() == recipe:
            return tree
        if any(f"lowerdir={tree}," in f"{mount.options}," for mount in mounts()):
            raise FleetError(f"{tree} is out of date and machines stand on it: down first")
        note.unlink(missing_ok=True)
        aside = bases / f"{tree.name}.making"
        for left in (tree, aside):
            remove_tree(left)
        bootstrap(aside, suite, packages, sources, lock)
        complete_base(aside)
        aside.rename(tree)
        write_whole(note, recipe)
    return tree


def bootstrap(
    tree: Path, suite: str, packages: Sequence[str], sources: tuple[str, str] | None, lock: IO[str]
) -> None:
    """Installs a Debian release into ``tree``, from ``sources`` (file name and text) if given."""
    left_out = ("man", "doc", "locale", "info")
    with tempfile.TemporaryDirectory() as folder:
        mirror = []
        if sources:
            mirror.append(str(Path(folder, sources[0])))
            Path(mirror[0]).write_text(sources[1])
        call(
            "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
            f"--include={','.join(packages)}", '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in left_out),
            suite, str(tree), *mirror,
            timeout=BUILD_S,
            # Should this process be killed, the lock is held until mmdebstrap has ended, too.
            pass_fds=[lock.fileno()],
        )  # fmt: skip
    for file in tree.glob("etc/apt/sources.list.d/0000*"):
        file.rename(file.with_name(file.name.removeprefix("0000")))


def complete_base(tree: Path) -> None:
    """What all machines have beyond their packages: the user, settings, this controller's CAs."""
    for file in tree.glob("etc/ssh/ssh_host_*"):
        file.unlink()
    call("chroot", str(tree), "useradd", "--uid=1000", "--create-home", "--shell=/bin/bash", USER)
    for name, text in BASE_FILES.items():
        (tree / name).unlink(missing_ok=True)
        (tree / name).write_text(text)
    (tree / "etc/sudoers.d" / USER).chmod(0o440)
    for unit in MASKED_UNITS:
        (tree / "etc/systemd/system" / unit).unlink(missing_ok=True)
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    if CA_BUNDLE.exists():
        shutil.copyfile(CA_BUNDLE, tree / CA_BUNDLE.relative_to("/"))
    if LOCAL_CAS.is_dir():  # for the next update-ca-certificates in the machine
        shutil.copytree(LOCAL_CAS, tree / LOCAL_CAS.relative_to("/"), dirs_exist_ok=True)


def debian_sources(suite: str) -> tuple[str, str] | None:
    """File name and text of apt sources for ``suite``: where this controller has its Debian from.

    None on other distributions, and where the sources do not name the release that runs.
    """
    release = platform.freedesktop_os_release()
    running = release.get("VERSION_CODENAME", "")
    for file in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if release.get("ID") != "debian" or not running or not file.exists():
            continue
        lines = [
            line for line in file.read_text().splitlines() if not re.match(r"#|deb cdrom", line)
        ]
        text = "\n".join(lines) + "\n"
        text, found = re.subn(rf"\b{running}\b", suite, text)
        if found:
            return file.name, text
    return None


def digest_of_cas() -> str:
    files = [CA_BUNDLE, *sorted(LOCAL_CAS.rglob("*"))]
    contents = [file.read_bytes() for file in files if file.is_file()]
    return hashlib.sha256(b"".join(contents)).hexdigest()


def nameservers() -> str:
    """resolv.conf for a machine: one at 127.0.0.53 serves the controller only."""
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = file.read_text() if file.exists() else ""
        if found := re.findall(r"^nameserver\s+(?!127\.|::1)\S+$", text, re.MULTILINE):
            return "\n".join(found) + "\n"
    raise FleetError("/etc/resolv.conf names no server that another machine can ask")


# The controller


def install_tools() -> None:
    """Installs what the controller lacks (see TOOLS) with apt; FleetError where it cannot."""
    need_root()
    missing = {package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)}
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        missing.add("debian-archive-keyring")
    if not missing:
        return
    if not shutil.which("apt-get", path=PATH):
        raise FleetError(f"there is no apt-get here: install {', '.join(sorted(missing))}")
    apt = ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=600"]
    call(*apt, "update", timeout=BUILD_S)
    install = ["install", "--yes", "--no-install-recommends", *sorted(missing)]
    call("env", "DEBIAN_FRONTEND=noninteractive", *apt, *install, timeout=BUILD_S)


def need_root() -> None:
    if os.geteuid() != 0:
        raise FleetError("test machines need root: run this as root")


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


def forget_in_nspawn(root: Path, name: str) -> None:
    """Removes what systemd-nspawn leaves of a machine that lost its power, or always."""
    for folder in ("propagate", "unix-export"):
        with suppress(OSError):
            (NSPAWN / folder / name).rmdir()
    tree = root.stat()
    (NSPAWN / "locks" / f"inode-{tree.st_dev}:{tree.st_ino}").unlink(missing_ok=True)


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


def nft_table(table: str, text: str) -> None:
    """Makes an nftables table, in place of the one of that name."""
    call(
        "nft", "-f", "-", stdin=f"table {table}\ndelete table {table}\ntable {table} {{\n{text}}}\n"
    )


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


def spawn(group: Cgroup, command: Sequence[str], log: Path) -> None:
    """Starts a command in ``group`` that outlives this process; what it says goes to ``log``."""
    with log.open("a") as output:
        subprocess.run(
            group.joined(["setsid", "--fork", *command]),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
        )  # fmt: skip


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


# The command line

app = typer.Typer(
    help="A fleet of test machines on this one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="A machine, as status lists them.")]

EXAMPLES = """Examples:

\b
machines.py up 3 --suite trixie         m1 to m3 on Debian 13
machines.py exec m2 journalctl -u ssh   as root, also while it is cut off
machines.py delay m1 40                 a round trip takes 80 ms longer
machines.py down                        stop and remove everything but the base trees
"""


@app.callback(epilog=EXAMPLES)
def choose_fleet(
    context: typer.Context,
    state: Annotated[Path, typer.Option(help="The fleet's folder.")] = DEFAULT_STATE,
    network: Annotated[str, typer.Option(help="10.X.Y: its /24.")] = DEFAULT_NETWORK,
    bases: Annotated[Path | None, typer.Option(help="Folder of base trees, if not STATE.")] = None,
) -> None:
    context.obj = Machines(state, network, bases)


@app.command("install-tools")
def install_tools_command() -> None:
    """Install what this machine lacks with apt (up and prepare do, too)."""
    install_tools()


@app.command()
def prepare(context: typer.Context, suites: Annotated[list[str], typer.Argument()]) -> None:
    """Make the base trees of Debian releases."""
    with ThreadPoolExecutor(len(suites)) as pool:
        for tree in pool.map(context.obj.prepare, suites):
            print(tree)


@app.command(epilog="Example: machines.py up 2 --suite trixie --bind /tmp/pci:/sys/bus/pci/devices")
def up(
    context: typer.Context,
    count: Annotated[int, typer.Argument(min=1, max=244, help="How many: m1, m2, ...")],
    suite: Annotated[str, typer.Option(help="The Debian release.")] = "bookworm",
    bind: Annotated[list[str] | None, typer.Option(help="SOURCE:PATH, in every machine.")] = None,
    package: Annotated[list[str] | None, typer.Option(help="One more in the base tree.")] = None,
) -> None:
    """Start machines, and write an inventory of them."""
    names = [f"m{number}" for number in range(1, count + 1)]
    pairs = [text.partition(":") for text in bind or ()]
    binds = {at: Path(source) for source, _, at in pairs}
    context.obj.up(
        dict.fromkeys(names, suite), binds=dict.fromkeys(names, binds), extra_packages=package or ()
    )
    print(context.obj.write_inventory(context.obj.state / "inventory.yml"))


@app.command()
def status(context: typer.Context) -> None:
    """Show the machines and how they are."""
    for machine in context.obj.machines.values():
        facts = "off"
        if machine.is_running():
            systemd = "booting"
            with suppress(FleetError):
                asked = machine.run("systemctl", "is-system-running", check=False)
                systemd = asked.stdout.strip()
            link = Path("/sys/class/net", machine.link, "operstate").read_text().strip()
            processes = machine.cgroup.processes()
            memory = f"{sum(map(memory_mib, processes)):.0f} MiB"
            facts = f"{systemd}, link {link}, {len(processes)} processes, {memory}"
        print(f"{machine.name:8} {machine.address:15} {machine.suite:10} {facts}")


def memory_mib(pid: int) -> float:
    """A process's share of memory, in MiB; 0 if it has ended."""
    with suppress(OSError):
        if found := re.search(
            r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M
        ):
            return int(found[1]) / 1024
    return 0.0


PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@app.command("exec", context_settings=PASSED_ON)
def execute(context: typer.Context, name: Name, command: list[str]) -> NoReturn:
    """Run a command as root, also in a machine that is cut off."""
    line = context.obj.machine(name).command(*command)
    os.execvp(line[0], line)


@app.command(context_settings=PASSED_ON)
def ssh(
    context: typer.Context,
    name: Name,
    command: Annotated[list[str] | None, typer.Argument()] = None,
) -> NoReturn:
    """Log in as ops, or run a command so."""
    line = context.obj.machine(name).ssh_command(*(command or ()))
    os.execvp(line[0], line)


def add_command(name: str, action: Callable[[Machine], None]) -> None:
    @app.command(name, help=action.__doc__)
    def run(context: typer.Context, machine: Name) -> None:
        action(context.obj.machine(machine))


for _name, _action in {
    "cut": Machine.cut,
    "heal": Machine.heal,
    "clear": Machine.clear,
    "start": Machine.start,
    "reboot": Machine.reboot,
    "crash": Machine.crash,
    "poweroff": Machine.power_off,
}.items():
    add_command(_name, _action)


@app.command(help=Machine.rate.__doc__)
def rate(context: typer.Context, name: Name, kbit: float) -> None:
    context.obj.machine(name).rate(kbit)


@app.command(help=Machine.loss.__doc__)
def loss(context: typer.Context, name: Name, percent: float) -> None:
    context.obj.machine(name).loss(percent)


@app.command(help=Machine.delay.__doc__)
def delay(context: typer.Context, name: Name, ms: float) -> None:
    context.obj.machine(name).delay(ms)


@app.command(epilog="Example: machines.py disk m1 /var/lib/loadfleet 2M")
def disk(context: typer.Context, name: Name, path: str, size: str) -> None:
    """Put a small empty disk over a folder of a machine."""
    context.obj.machine(name).disk(path, size)


@app.command()
def undisk(context: typer.Context, name: Name, path: str) -> None:
    """Take it away again."""
    context.obj.machine(name).undisk(path)


@app.command()
def down(context: typer.Context) -> None:
    """Stop and remove everything but the base trees."""
    context.obj.down()


def main() -> None:
    try:
        app(prog_name="machines.py")
    except (FleetError, CommandFailed, subprocess.TimeoutExpired) as error:
        sys.exit(f"machines.py: {error}")


if __name__ == "__main__":
    main()
