"""A fleet of test machines on this one: real file systems, addresses, systemd, sshd; one kernel.

Each machine is a Debian tree (an overlay on one base tree a release) that systemd-nspawn boots in
a network namespace of its own, on a bridge with this machine, the controller. README.md says what
such machines can and cannot show. Needs root, Linux 5.14, Debian or Ubuntu.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import yaml
from base_tree import USER, install_tools, make_base
from controller import (
    NAMESPACES,
    PATH,
    PATIENCE_S,
    Cgroup,
    CommandFailed,
    FleetError,
    call,
    checked,
    claim_host,
    forget_in_nspawn,
    host_record,
    locked,
    make_bridge,
    nameservers,
    need_root,
    nft_table,
    release_host,
    remove_network,
    remove_tree,
    spawn,
    unmount_below,
    wait_for,
    write_whole,
)
from pydantic import BaseModel, ConfigDict

__all__ = ["DEFAULT_NETWORK", "DEFAULT_STATE", "CommandFailed", "FleetError", "Machine", "Machines"]

DEFAULT_STATE = Path("/var/tmp/loadfleet-fleet")
DEFAULT_NETWORK = "10.77.0"

SYSFS_TREES = ("/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/kernel")
"""nspawn mounts these after its binds and hides what was bound there: bound again from fstab."""
PCI_DEVICES = "/sys/bus/pci/devices"
BOOT_ID = "proc/sys/kernel/random/boot_id"
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

    def inside(self, path: str) -> Path:
        """A path of it as the controller sees it, with what is mounted there while it runs."""
        root = Path(f"/proc/{self._init()}/root") if self.is_running() else self.root
        return root / path.lstrip("/")

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
            make_bridge(self.tag, self.gateway)
            self.cgroup.make()
            for part in ("machines", "delays"):
                Cgroup(self.cgroup.path / part).make()
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
                remove_network(self.tag)
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
