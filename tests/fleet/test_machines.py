"""The machines that tests of roles and playbooks stand on are what they are taken for."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from controller import (
    HOST_STATE,
    NAMESPACES,
    NSPAWN,
    SYSCTLS,
    Cgroup,
    call,
    host_record,
    mounts,
    sysctl,
)
from machines import DEFAULT_STATE, PCI_DEVICES, FleetError, Machine, Machines
from waiting import wait_until

pytestmark = pytest.mark.fleet

PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
A30 = {"vendor": "0x10de", "device": "0x20b7", "class": "0x030200"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A machine of each release, named after it; trixie has a stand-in GPU."""
    stand_in = tmp_path_factory.mktemp("stand-in")
    for name, value in A30.items():
        file = stand_in / "pci" / "0000:17:00.0" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    (stand_in / "nvidia").mkdir()
    (stand_in / "nvidia" / "version").write_text("570.1\n")
    gpu = {PCI_DEVICES: stand_in / "pci", "/sys/module/nvidia": stand_in / "nvidia"}
    fleet = Machines(DEFAULT_STATE / "test-machines", "10.97.0", bases=DEFAULT_STATE)
    fleet.down()
    try:
        fleet.up({suite: suite for suite in PYTHON}, binds={"trixie": gpu})
        yield fleet
    finally:
        fleet.down()
        shutil.rmtree(fleet.state)


@pytest.fixture(params=PYTHON)
def machine(request: pytest.FixtureRequest, fleet: Machines) -> Machine:
    return fleet.machine(request.param)


@pytest.fixture
def trixie(fleet: Machines) -> Iterator[Machine]:
    """A machine for faults, which end with the test."""
    machine = fleet.machine("trixie")
    yield machine
    machine.start()
    machine.heal()
    machine.clear()
    machine.wait_for_ssh()


def test_systemd_is_process_1_and_all_its_units_run(machine: Machine) -> None:
    assert machine.read("/proc/1/comm") == "systemd\n"
    assert machine.run("systemctl", "is-system-running", "--wait").stdout == "running\n"
    version = machine.run("python3", "-c", "import sys; print(*sys.version_info[:2], sep='.')")
    assert version.stdout.strip() == PYTHON[machine.suite]


def test_every_machine_is_one_of_its_own(fleet: Machines) -> None:
    machines = fleet.machines.values()
    for facts in (
        {machine.read("/etc/machine-id") for machine in machines},
        {machine.boot_id() for machine in machines},
        {machine.host_key().split()[-1] for machine in machines},
        {machine.run("hostname").stdout for machine in machines},
    ):
        assert len(facts - {"", "\n"}) == len(machines)


def test_ops_logs_in_and_becomes_root_without_a_password(machine: Machine) -> None:
    assert machine.ssh("id", "-un").stdout == "ops\n"
    assert machine.ssh("sudo", "-n", "id", "-un").stdout == "root\n"


def test_a_machine_with_another_host_key_is_not_let_in(fleet: Machines, tmp_path: Path) -> None:
    known = fleet.known_hosts.read_text().splitlines()
    keys = [line.split(maxsplit=1)[1] for line in known]
    swapped = [f"{line.split()[0]} {key}" for line, key in zip(known, reversed(keys), strict=True)]
    deceived = Machines(fleet.state, fleet.network, fleet.bases)
    deceived.known_hosts = tmp_path / "known_hosts"
    deceived.known_hosts.write_text("\n".join(swapped) + "\n")
    for machine in deceived.machines.values():
        refused = machine.ssh("true", check=False)
        assert refused.returncode == 255
        assert "Host key verification failed" in refused.stderr


def test_arguments_arrive_as_they_were_given(machine: Machine) -> None:
    arguments = ["a b", "it's", "$HOME", '"', "\\", ""]
    expected = "".join(f"{argument}|" for argument in arguments)
    assert machine.run("printf", "%s|", *arguments).stdout == expected
    assert machine.ssh("printf", "%s|", *arguments).stdout == expected


def test_ansible_reaches_all_through_the_inventory(fleet: Machines, tmp_path: Path) -> None:
    inventory = fleet.write_inventory(tmp_path / "hosts.yml")
    command = ["ansible", "all", "-i", str(inventory), "-m", "command", "-a", "id -un"]
    (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = true\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    # The usual ControlPersist would leave a process behind.
    environment["ANSIBLE_SSH_ARGS"] = "-o ControlMaster=no"
    said = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    answers = re.findall(r"^(\w+) \| CHANGED \| rc=0 >>\n(\w+)$", said.stdout, re.MULTILINE)
    assert sorted(answers) == [("bookworm", "root"), ("trixie", "root")], said.stdout + said.stderr


def test_a_stand_in_gpu_is_on_the_pci_bus_of_its_machine_only(fleet: Machines) -> None:
    with_gpu, without = fleet.machine("trixie"), fleet.machine("bookworm")
    for _ in range(2):
        gpu = with_gpu.run("cat", *(f"{PCI_DEVICES}/0000:17:00.0/{name}" for name in A30)).stdout
        assert gpu.split() == list(A30.values())
        assert "10de:20b7" in with_gpu.run("lspci", "-n").stdout
        assert with_gpu.read("/sys/module/nvidia/version") == "570.1\n"
        with_gpu.reboot()
    assert without.run("ls", PCI_DEVICES).stdout == ""
    assert without.run("test", "-e", "/sys/module/nvidia", check=False).returncode == 1


def test_a_reboot_is_another_boot_of_the_same_disk(machine: Machine) -> None:
    before = machine.boot_id(), machine.read("/etc/machine-id")
    machine.write("/srv/kept", "kept")
    machine.write("/run/forgotten", "in memory")
    machine.run("nft", "add", "table", "inet", "forgotten")
    machine.run("sysctl", "--quiet", "net.ipv4.ip_forward=1")
    machine.reboot()
    assert machine.boot_id() != before[0]
    assert machine.ssh("cat", "/proc/sys/kernel/random/boot_id").stdout.strip() == machine.boot_id()
    assert machine.read("/etc/machine-id") == before[1]
    assert machine.read("/srv/kept") == "kept"
    assert machine.run("test", "-e", "/run/forgotten", check=False).returncode == 1
    assert "forgotten" not in machine.run("nft", "list", "tables").stdout
    assert machine.read("/proc/sys/net/ipv4/ip_forward") == "0\n"


def test_only_a_shutdown_stops_services_but_the_disk_survives_a_crash_too(trixie: Machine) -> None:
    service = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=touch /srv/stopped\n"
    trixie.write("/etc/systemd/system/witness.service", service)
    trixie.run("systemctl", "start", "witness.service")
    trixie.write("/srv/written", "before the crash")
    before = trixie.boot_id()
    trixie.crash()
    assert not trixie.is_running()
    assert trixie.read("/srv/written") == "before the crash"
    assert not (trixie.root / "srv/stopped").exists()
    trixie.start()
    trixie.wait_for_ssh()
    assert trixie.boot_id() != before
    assert trixie.run("systemctl", "is-system-running", "--wait").stdout == "running\n"
    assert trixie.ssh("cat", "/srv/written").stdout == "before the crash"
    trixie.run("systemctl", "start", "witness.service")
    trixie.power_off()
    assert not trixie.is_running()
    assert (trixie.root / "srv/stopped").exists()
    with pytest.raises(FleetError, match="trixie is off"):
        trixie.boot_id()


def test_a_cut_machine_goes_on_alone_until_it_is_healed(trixie: Machine) -> None:
    trixie.cut()
    unreachable = trixie.ssh("true", check=False)
    assert (unreachable.returncode, "timed out" in unreachable.stderr) == (255, True)
    assert trixie.run("hostname").stdout == "trixie\n"
    trixie.heal()
    trixie.wait_for_ssh()


def test_a_delay_of_20_ms_is_40_ms_a_round_trip(trixie: Machine) -> None:
    trixie.delay(20)
    trixie.run("ip", "neigh", "flush", "all")  # whom it asks now must be behind the delay, too
    # The least of several: others on this machine may add to one, nobody takes away.
    assert 40 <= least_round_trip_ms(trixie) < 100
    trixie.clear()
    assert least_round_trip_ms(trixie) < 20


def test_packets_are_lost_in_both_directions(trixie: Machine) -> None:
    trixie.loss(50)
    ping = ["ping", "-q", "-c", "300", "-i", "0.01", "-W", "1", "controller"]
    received = re.search(r"(\d+) received", trixie.run(*ping, check=False).stdout)
    assert received
    # 75 by chance, 150 if one direction were spared: both are more than 4 sigma from 110.
    assert 0 < int(received[1]) < 110


def test_a_slow_link_is_slow_in_both_directions(trixie: Machine) -> None:
    trixie.rate(1000)
    octets = 400_000  # 3.2 s of it; the first second's worth goes at once from the machine
    started = time.monotonic()
    assert len(trixie.ssh("sh", "-c", f"head -c {octets} /dev/zero | tr '\\0' x").stdout) == octets
    down = time.monotonic()
    trixie.ssh("sh", "-c", "cat > /dev/null", stdin="x" * octets)
    assert down - started > 1.5
    assert time.monotonic() - down > 1.5


def test_a_full_disk_is_full(trixie: Machine) -> None:
    trixie.run("install", "-d", "-o", "ops", "-m", "750", "/srv/data")
    trixie.write("/srv/data/before", "hidden")
    trixie.disk("/srv/data", "100k")
    assert trixie.run("stat", "-c", "%U %a", "/srv/data").stdout == "ops 750\n"
    script = "open('/srv/data/big', 'wb').write(bytes(200_000))"
    full = trixie.ssh("python3", "-c", script, check=False)
    assert full.returncode == 1
    assert "OSError: [Errno 28] No space left on device" in full.stderr
    trixie.undisk("/srv/data")
    assert trixie.run("ls", "/srv/data").stdout == "before\n"
    trixie.ssh("python3", "-c", script)


def test_machines_reach_each_other_the_controller_and_registries(machine: Machine) -> None:
    for name in machine.fleet.machines:
        assert connects(machine, name, 22)
    sources = machine.run(
        "sh", "-c", "cat /etc/apt/sources.list.d/* /etc/apt/sources.list", check=False
    )
    archive = re.search(r"https?://([^/\s]+)\S*", sources.stdout)
    assert archive
    release = machine.run(
        "curl", "-fsS", f"{archive[0].rstrip('/')}/dists/{machine.suite}/InRelease"
    )
    assert f"Codename: {machine.suite}\n" in release.stdout
    registry = archive[1]
    assert not connects(machine, registry, 22)
    assert not connects(machine, registry, 8080)


def test_machines_reach_the_controller_at_its_address_on_the_bridge_only(machine: Machine) -> None:
    with http.server.HTTPServer(("0.0.0.0", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks for the way there
            address = probe.getsockname()[0]
        assert connects(machine, "controller", server.server_port)
        assert not connects(machine, address, server.server_port)
        server.shutdown()


def test_two_fleets_cannot_have_one_network(fleet: Machines, tmp_path: Path) -> None:
    other = Machines(tmp_path / "other", fleet.network, fleet.bases)
    with pytest.raises(FleetError, match=rf"belongs to the fleet in {fleet.state}:"):
        other.up({"m1": "trixie"})
    other.down()
    assert fleet.machine("trixie").ssh("true").returncode == 0


def test_what_a_killed_process_left_comes_up_and_goes_away(tmp_path: Path) -> None:
    fleet = Machines(tmp_path / "fleet", "10.98.0", bases=DEFAULT_STATE)
    program = Path(__file__).with_name("machines_cli.py")
    options = ["--state", str(fleet.state), "--network", fleet.network, "--bases", str(fleet.bases)]
    try:
        fleet.prepare("bookworm")
        before = {name: sysctl(name) for name in SYSCTLS}
        alone = not host_record().fleets
        up = subprocess.Popen([sys.executable, str(program), *options, "up", "1"])
        wait_until(lambda: (fleet.state / "machines/m1/root/etc").exists(), "a half-made machine")
        up.send_signal(signal.SIGKILL)
        up.wait()
        machine = fleet.up({"m1": "bookworm"})["m1"]
        machine.loss(1)
        machine.delay(1)
        tree = machine.root.stat()
        lock = NSPAWN / "locks" / f"inode-{tree.st_dev}:{tree.st_ino}"
        assert lock.exists()
        assert [kind for kind, found in traces(fleet).items() if not found] == []
    finally:
        fleet.down()
    assert {kind: found for kind, found in traces(fleet).items() if found} == {}
    assert not lock.exists()
    assert [file.name for file in fleet.state.iterdir()] == ["lock"]
    assert fleet.network not in host_record().fleets
    if alone and not host_record().fleets:
        assert {name: sysctl(name) for name in SYSCTLS} == before
        assert not HOST_STATE.exists()
    fleet.down()


def connects(machine: Machine, host: str, port: int) -> bool:
    """Whether it opens a TCP connection; one that nobody answers or that is refused is none."""
    script = f"import socket; socket.create_connection(({host!r}, {port}), timeout=10)"
    return machine.run("python3", "-c", script, check=False).returncode == 0


def least_round_trip_ms(machine: Machine) -> float:
    said = machine.run("ping", "-q", "-c", "10", "-i", "0.1", "controller").stdout
    least = re.search(r"min/avg/max/mdev = ([\d.]+)/", said)
    assert least, said
    return float(least[1])


def traces(fleet: Machines) -> dict[str, list[str]]:
    """What there is of a fleet outside its state folder; other fleets may be up beside it."""

    def mine(text: str) -> bool:
        return re.search(rf"\b{fleet.tag}\b", text) is not None or str(fleet.state) in text

    links = [link.name for link in Path("/sys/class/net").iterdir()]
    places = {
        "network namespaces": [file.name for file in NAMESPACES.glob("*")],
        "links": [name.replace(fleet.tag, f"{fleet.tag}-") for name in links],
        "nftables": call("nft", "list", "tables").stdout.splitlines(),
        "mounts": [str(mount.point) for mount in mounts()],
        "cgroups": [group.name for group in Cgroup.mounted().iterdir()],
        "folders of nspawn": [str(file) for file in NSPAWN.rglob("*")],
        "processes": [
            file.read_text(errors="replace").replace("\0", " ")
            for file in Path("/proc").glob("[0-9]*/cmdline")
            if file.parent.exists()
        ],
    }
    return {kind: [text for text in found if mine(text)] for kind, found in places.items()}
