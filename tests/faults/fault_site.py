"""Machines that run the null engine, and runs of it that a test breaks and repeats."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from gpu_site import BIN, ROOT, ansible_environment
from loadfleet_agent.contract.base import digest
from machines import DEFAULT_STATE, FleetError, Machine, Machines
from waiting import wait_until

NETWORK = "10.95.0"
HOME = "/var/lib/loadfleet"
PATIENCE_S = 900.0
LOAD = "server-performance"
"""The phase that lasts: ten seconds, at a rate of LoadGen's that no machine is too slow for."""
SETTINGS: dict[str, Any] = {
    "loadfleet_profile": "null-engine",
    "loadfleet_model": {"source": "tiny"},
    "loadfleet_dataset": {"source": "synthetic"},
    "loadfleet_length": {"samples": 32, "server_queries": 600},
    "loadfleet_server_target_qps": 60,
    "loadfleet_poll_s": 1,
    "loadfleet_print_s": 1,
}
VLLM_SETTINGS: dict[str, Any] = SETTINGS | {
    "loadfleet_profile": "cpu-smoke",
    "loadfleet_length": {"samples": 16, "server_queries": 500},
    "loadfleet_server_target_qps": 10,
}


@dataclass(frozen=True)
class Ended:
    """How one ansible-playbook ended, and all that it printed."""

    returncode: int
    output: str


class Playbook:
    """The command of the README, while it runs."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=ansible_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, *, among: str = "") -> None:
        """Until it has printed a line with ``text`` and ``among``; fails if it ends without."""

        def printed() -> bool:
            return any(text in line and among in line for line in self.output.splitlines())

        wait_until(
            lambda: printed() or self.process.poll() is not None,
            f"{text!r} in the output of the playbook",
            PATIENCE_S,
        )
        assert printed(), self.output[-4000:]

    def kill(self) -> int:
        """kill -9 to the one process that the user started; its exit status."""
        os.kill(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def kill_all(self) -> int:
        """The same with all that it has started, as where the controller loses its power."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        status = self.kill()
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return status

    def end(self) -> Ended:
        """Waits for its end."""
        self.process.wait(timeout=PATIENCE_S)
        return Ended(self.process.returncode, self.output)

    def close(self) -> None:
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Site:
    """Bare machines, to which the first run brings the agent."""

    def __init__(self, folder: Path, fleet: Machines, machines: dict[str, Machine]) -> None:
        self.folder = folder
        self.fleet = fleet
        self.machines = machines

    def add(self, *names: str) -> None:
        """More machines, unless they are there."""
        self.machines |= self.fleet.up(dict.fromkeys(names, "bookworm"))

    @contextmanager
    def run(
        self, run_id: str, *hosts: str, host_vars: dict[str, Any] | None = None, **settings: Any
    ) -> Iterator[Run]:
        """A run on these hosts; whatever is left of it when the test ends is ended."""
        run = Run(self, run_id, hosts, SETTINGS | settings, host_vars or {})
        try:
            yield run
        finally:
            run.close()


class Run:
    """One run: its command, given as often as a test needs, and what it has on the hosts."""

    def __init__(
        self,
        site: Site,
        run_id: str,
        hosts: tuple[str, ...],
        settings: dict[str, Any],
        host_vars: dict[str, Any],
    ) -> None:
        self.site = site
        self.run_id = run_id
        self.hosts = hosts
        self.folder = site.folder / run_id
        self.results = self.folder / "results"
        self._settings = settings
        self._host_vars = host_vars
        self._started: list[Playbook] = []

    # The command

    def start(self, *arguments: str, **settings: Any) -> Playbook:
        """ansible-playbook run_benchmark.yml, over SSH as ops with sudo, host keys checked.

        Without arguments it is the same command each time. ``settings`` replace the run's.
        """
        folder = self.folder / f"inventory-{len(self._started)}"  # written anew, the same
        variables = {
            "loadfleet_run_id": self.run_id,
            "loadfleet_results_dir": str(self.results),
            "loadfleet_reports_dir": str(self.folder / "reports"),
        }
        self.site.fleet.write_inventory(
            folder / "hosts.yml",
            names=self.hosts,
            host_vars=self._host_vars,
            variables={
                key: value
                for key, value in (variables | self._settings | settings).items()
                if value is not None
            },
        )
        command = [str(BIN / "ansible-playbook"), "run_benchmark.yml", "-i", str(folder)]
        log = self.folder / f"playbook-{len(self._started)}.txt"
        playbook = Playbook([*command, *arguments], log)
        self._started.append(playbook)
        return playbook

    def again(self, *arguments: str, **settings: Any) -> Ended:
        """The command, from its start to its end."""
        return self.start(*arguments, **settings).end()

    # On a host

    def host_folder(self, host: str) -> Path:
        """The run's folder on a host, seen from the controller without the host's network."""
        return self.site.machines[host].inside(f"{HOME}/runs/{self.run_id}")

    def status(self, host: str) -> dict[str, Any]:
        """status.json there; {} while there is none."""
        try:
            found: dict[str, Any] = json.loads((self.host_folder(host) / "status.json").read_text())
        except (OSError, ValueError, FleetError):  # not written yet, booting
            return {}
        return found

    def wait_for_load(self, host: str, playbook: Playbook) -> None:
        """Until the host is under load: some of its queries answered, others not."""
        wait_until(
            lambda: self._under_load(host) or playbook.process.poll() is not None,
            f"{host} in {LOAD}",
            PATIENCE_S,
        )
        assert self._under_load(host), playbook.output[-4000:]

    def _under_load(self, host: str) -> bool:
        status = self.status(host)
        return (
            status.get("state") == "running"
            and status["phase"] == LOAD
            and 0 < status["done"] < status["total"]
        )

    def unit(self, host: str) -> str:
        """Name of the systemd unit of the run."""
        return f"loadfleet-{self.run_id}-{digest(HOME)[:8]}.service"

    def hold(self, host: str) -> None:
        """Stops all of the run's processes where they are, until it is let go."""
        (self._cgroup(host) / "cgroup.freeze").write_text("1")
        events = self._cgroup(host) / "cgroup.events"
        wait_until(lambda: "frozen 1" in events.read_text(), f"{host} holds still")

    def let_go(self, host: str) -> None:
        (self._cgroup(host) / "cgroup.freeze").write_text("0")

    def _cgroup(self, host: str) -> Path:
        payload = self.site.machines[host].cgroup.path / "boot" / "payload"
        return payload / "system.slice" / self.unit(host)

    def agent(self, host: str) -> int:
        """Process id of the agent, as the controller counts."""
        return self._process(host, "loadfleet_agent run ")

    def engine(self, host: str) -> int:
        """Process id of the process that owns the engine and LoadGen, as the controller counts."""
        return self._process(host, "loadfleet_agent.worker ")

    def _process(self, host: str, words: str) -> int:
        pids = [int(pid) for pid in (self._cgroup(host) / "cgroup.procs").read_text().split()]
        found = [pid for pid in pids if words in command_line(pid)]
        # What it has forked has its command line until it is another program.
        (pid,) = (pid for pid in found if parent_of(pid) not in found)
        return pid

    def processes(self, host: str) -> list[str]:
        """Command lines of all that runs there of an agent or its engine; zombies are gone."""
        found = []
        for pid in self.site.machines[host].cgroup.processes():
            if "loadfleet_agent" in (words := command_line(pid)):
                found.append(words)
        return found

    def is_idle(self, host: str) -> bool:
        """Nothing of the run is left there, so nothing of it holds a GPU."""
        wait_until(lambda: not self.processes(host), f"no process of the run on {host}", 120)
        return True

    # What is kept

    def finished(self, host: str) -> dict[str, str]:
        """Finished phase to the hash of all that it left."""
        return {
            path.parent.name: _hash_of(path.parent)
            for path in sorted(self.host_folder(host).glob("phases/*/phase.json"))
        }

    def times_started(self, host: str) -> dict[str, int]:
        """Phase to how often it was started, by the host's own events."""
        found: dict[str, int] = {}
        for line in (self.host_folder(host) / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["code"] == "phase-started":
                found[event["phase"]] = found.get(event["phase"], 0) + 1
        return found

    # On the controller

    @property
    def report(self) -> Any:
        return json.loads((self.results / self.run_id / "report.json").read_bytes())

    def host_report(self, host: str) -> Any:
        return next(item for item in self.report["hosts"] if item["name"] == host)

    def collected_whole(self, host: str) -> None:
        """What the controller has of the host is what the host sealed, every byte."""
        there = self.results / self.run_id / "hosts" / host
        manifest = json.loads((there / "manifest.json").read_bytes())
        on_host = json.loads((self.host_folder(host) / "manifest.json").read_bytes())
        assert manifest == on_host
        for name, entry in manifest["files"].items():
            if (there / name).exists() or not name.endswith("mlperf_log_accuracy.json"):
                found = hashlib.sha256((there / name).read_bytes()).hexdigest()
                assert found == entry["sha256"], f"{host}: {name} is not whole"

    def close(self) -> None:
        for playbook in self._started:
            playbook.close()
        for host in self.hosts:
            machine = self.site.machines[host]
            machine.heal()
            machine.clear()
            machine.start()
            machine.wait_for_ssh()
            machine.run("systemctl", "kill", "--signal=KILL", self.unit(host), check=False)


def command_line(pid: int) -> str:
    """Of a process of this kernel; '' for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def state_of(pid: int) -> str:
    """R, S, T (stopped), Z (ended, not waited for) and their like; '' for one that is gone."""
    return _stat(pid)[0]


def parent_of(pid: int) -> int:
    """Its parent's id; 0 for one that is gone."""
    return int(_stat(pid)[1])


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    return state_of(pid) in ("", "Z")


def _stat(pid: int) -> tuple[str, str]:
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", "0"
    return state, parent


def _hash_of(folder: Path) -> str:
    """Of phase.json and of the files that it names; what is scored later is not the phase's."""
    sealed = (folder / "phase.json").read_bytes()
    total = hashlib.sha256(sealed)
    for name in sorted(json.loads(sealed)["files"]):
        total.update((folder / name).read_bytes())
    return total.hexdigest()


@contextmanager
def open_site(folder: Path, names: tuple[str, ...]) -> Iterator[Site]:
    """Debian 12 machines, up and bare; taken down at the end, however that comes."""
    fleet = Machines(DEFAULT_STATE / "faults", NETWORK, bases=DEFAULT_STATE)
    fleet.down()  # what a killed session left
    try:
        site = Site(folder, fleet, {})
        site.add(*names)
        yield site
    finally:
        fleet.down()
        shutil.rmtree(fleet.state)
