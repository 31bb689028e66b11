"""How long the report of a large fleet takes, its memory, and whether it finds what is planted.

The fleet is made from a real run of an H200 (see made_fleet.py): noise from run to run, and plants
of 4 to 8 % with causes. The report is made by the command, in a process of its own.

usage: python benchmarks/aggregate.py [--hosts 1000] [--samples 13368] [--planted 0.05]
           [--seed 0] [--keep FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from made_fleet import PLANTED_CAUSES, MadeHost, make_fleet

POLL_S = 0.05


@dataclass(frozen=True)
class Cost:
    """Of the command and its processes."""

    seconds: float
    cpu_s: float
    """Of a processor; on a busy machine the better figure of the two."""
    peak_mib: float
    exit_code: int


def run_report(folder: Path) -> Cost:
    """Runs the command.

    Memory is what each process alone holds (USS), so that shared pages do not count twice.
    """
    command = [str(Path(sys.executable).parent / "loadfleet"), "report", str(folder)]
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(POLL_S):
            used = 0
            try:
                root = psutil.Process(process.pid)
                for member in (root, *root.children(recursive=True)):
                    used += member.memory_full_info().uss
            except psutil.Error:
                continue
            peak = max(peak, used / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    if code not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {code}")
    seconds = time.monotonic() - began
    ended.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu_s, peak, code)


def judge(report: dict[str, Any], hosts: list[MadeHost]) -> dict[str, Any]:
    """What was found of what was planted."""
    causes = {
        flag["host"]: {reason["cause"] for reason in flag["reasons"]} for flag in report["flags"]
    }
    planted = {host.name: host.planted for host in hosts if host.planted}
    there, found, told = Counter(planted.values()), Counter[str](), Counter[str]()
    for name, of_host in causes.items():
        for cause in PLANTED_CAUSES:
            if PLANTED_CAUSES[cause] in of_host:
                told[cause] += 1
                found[cause] += planted.get(name) == cause
    healthy = len(hosts) - len(planted)
    return {
        "hosts": len(hosts),
        "planted": len(planted),
        "recall": sum(name in causes for name in planted) / len(planted) if planted else None,
        "false_flag_rate": sum(name not in planted for name in causes) / healthy,
        "per_cause": {
            cause: {
                "planted": there[cause],
                "recall": found[cause] / there[cause] if there[cause] else None,
                "precision": found[cause] / told[cause] if told[cause] else None,
            }
            for cause in PLANTED_CAUSES
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=13_368, help="MLPerf's datacenter: 13368")
    parser.add_argument("--planted", type=float, default=0.05, help="share of hosts")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="default: new")
    parser.add_argument("--keep", type=Path, help="folder for the report's files; new")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    began = time.monotonic()
    temporary, folder, hosts = make_fleet(
        options.hosts, options.samples, options.planted, options.seed
    )
    made_s = time.monotonic() - began
    with temporary:
        cost = run_report(folder)
        report = json.loads((folder / "report.json").read_text("utf-8"))
        mib = {
            name: (folder / f"report.{name}").stat().st_size / 2**20 for name in ("json", "html")
        }
        if options.keep:
            options.keep.mkdir(parents=True)
            for path in folder.glob("*.*"):
                shutil.copy(path, options.keep)
    found = judge(report, hosts) | {
        "seed": options.seed,
        "seconds": round(cost.seconds, 2),
        "cpu_s": round(cost.cpu_s, 2),
        "peak_mib": round(cost.peak_mib),
        "page_mib": round(mib["html"], 2),
        "json_mib": round(mib["json"], 2),
        "doubted_hosts": sum(bool(host["warnings"]) for host in report["hosts"]),
        "exit_code": cost.exit_code,
        "processors": len(os.sched_getaffinity(0)),
    }
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['hosts']:,} hosts with {options.samples:,} samples each, seed {found['seed']}; "
          f"made in {made_s:.0f} s")  # fmt: skip
    print(f"report in {cost.seconds:.1f} s ({cost.cpu_s:.1f} s of a processor) and "
          f"{cost.peak_mib:,.0f} MiB on {found['processors']} processors; the page has "
          f"{mib['html']:.1f} MiB, report.json {mib['json']:.1f} MiB")  # fmt: skip
    print(f"{found['planted']} planted: recall {found['recall']:.1%}; healthy hosts flagged "
          f"{found['false_flag_rate']:.2%}")  # fmt: skip
    for cause, of_cause in found["per_cause"].items():
        if of_cause["planted"]:
            precision = of_cause["precision"]
            print(f"  {cause}: {of_cause['planted']} planted, recall {of_cause['recall']:.0%}, "
                  f"precision {'-' if precision is None else f'{precision:.0%}'}")  # fmt: skip


if __name__ == "__main__":
    main()
