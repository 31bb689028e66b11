"""What fifty hosts at once cost the controller, and how close together they start.

Boots test machines (tests/fleet: root, Debian or Ubuntu), puts the agent on them, and runs Offline
over the null engine with loadfleet_sync_start. Prints the window in which all hosts started, and
wall time, processor time and the highest memory of ansible-playbook with its workers. The machines
share the controller's processors, so the wall time is theirs too.

usage: python benchmarks/fifty_hosts.py [--hosts 50] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
NETWORK = "10.98.0"
HOME = "/var/lib/loadfleet"
SETTINGS: dict[str, Any] = {
    "loadfleet_profile": "null-engine",
    "loadfleet_model": {"source": "tiny"},
    "loadfleet_dataset": {"source": "synthetic"},
    "loadfleet_length": {"samples": 64},
    "loadfleet_scenarios": ["Offline"],
    "loadfleet_modes": ["performance"],
    "loadfleet_sync_start": True,
}


class PeakMemory(threading.Thread):
    """Watches a process and all below it; ``rss`` and ``pss`` are the highest sums, in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.rss = self.pss = self.processes = 0
        self._root = psutil.Process(pid)

    def run(self) -> None:
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            rss = pss = count = 0
            try:
                for process in [self._root, *self._root.children(recursive=True)]:
                    try:
                        memory = process.memory_full_info()
                    except psutil.NoSuchProcess:
                        continue
                    rss, pss, count = rss + memory.rss, pss + memory.pss, count + 1
            except psutil.NoSuchProcess:
                return
            self.rss, self.pss = max(self.rss, rss), max(self.pss, pss)
            self.processes = max(self.processes, count)
            time.sleep(0.5)


def play(inventory: Path, *arguments: str) -> dict[str, float]:
    """Runs run_benchmark.yml; SystemExit with its last words where it fails."""
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), "run_benchmark.yml", "-i", str(inventory), *arguments],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        peak = PeakMemory(process.pid)
        peak.start()
        code = process.wait()
        log.seek(0)
        if code != 0:
            raise SystemExit(f"ansible-playbook ended with {code}: {log.read()[-4000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.monotonic() - began,
        "cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "peak_rss_mib": peak.rss / 2**20,
        "peak_pss_mib": peak.pss / 2**20,
        "processes": peak.processes,
    }


def start_window_s(run: Path) -> float:
    """Seconds from the first host's start of LoadGen to the last one's: they have one clock."""
    moments = [
        datetime.fromisoformat(json.loads(path.read_bytes())["started_utc"])
        for path in run.glob("hosts/*/phases/offline-performance/phase.json")
    ]
    return (max(moments) - min(moments)).total_seconds()


def measure(hosts: int) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT / "tests" / "fleet"))
    from machines import DEFAULT_STATE, Machines  # type: ignore[import-not-found]

    names = [f"n{number:02}" for number in range(1, hosts + 1)]
    fleet = Machines(DEFAULT_STATE / "fifty", NETWORK, bases=DEFAULT_STATE)
    with tempfile.TemporaryDirectory() as scratch:
        # One environment for all, as it is not what is measured: the first host installs it.
        shared = Path(scratch) / "environments"
        shared.mkdir()
        binds = {f"{HOME}/environments": shared}
        try:
            fleet.down()
            fleet.up(dict.fromkeys(names, "bookworm"), binds=dict.fromkeys(names, binds))
            folders = {
                "loadfleet_results_dir": f"{scratch}/results",
                "loadfleet_reports_dir": f"{scratch}/reports",
            }
            inventory = fleet.write_inventory(
                Path(scratch) / "inventory" / "hosts.yml", variables=SETTINGS | folders
            )
            play(inventory, "--limit", names[0], "--tags", "agent", "-e", "loadfleet_run_id=first")
            used = play(inventory, "-e", "loadfleet_run_id=all")
            run = Path(scratch) / "results" / "all"
            report = json.loads((run / "report.json").read_bytes())
            joint = report["scenarios"][0]["joint"]
            return used | {
                "hosts": hosts,
                "ok": sum(host["verdict"]["kind"] == "ok" for host in report["hosts"]),
                "synchronised": joint["synchronised"],
                "start_window_s": start_window_s(run),
                "processors": os.cpu_count(),
            }
        finally:
            fleet.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=50, help="test machines (50)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    found = measure(options.hosts)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['ok']} of {found['hosts']} hosts ok, on {found['processors']} processors\n"
        f"started within {found['start_window_s'] * 1000:,.0f} ms "
        f"({'at one moment' if found['synchronised'] else 'not synchronised'})\n"
        f"controller: {found['wall_s']:,.0f} s, {found['cpu_s']:,.0f} processor seconds, "
        f"{found['peak_pss_mib']:,.0f} MiB ({found['peak_rss_mib']:,.0f} MiB as the sum of RSS) "
        f"in {found['processes']:.0f} processes"
    )


if __name__ == "__main__":
    main()
