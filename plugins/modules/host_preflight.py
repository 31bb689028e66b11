"""host_preflight: reads what stands against provisioning a host."""

from __future__ import annotations

import glob
import os
import pathlib
import platform
import shutil
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.findings import Findings
from ansible.module_utils.nvidia_smi import SmiError, run_smi
from ansible.module_utils.pci_bus import nvidia_gpus
from ansible.module_utils.run_lock import describe_run, run_in_progress
from ansible.module_utils.secure_boot import secure_boot

DOCUMENTATION = r"""
module: host_preflight
short_description: Read what stands against provisioning a host
description:
  - Changes nothing. An action plugin of the same name adds the clock check, which needs both
    clocks, and fails with one line a finding.
options:
  checks:
    description: Names of the checks to make; all if not given.
    type: list
    elements: str
  home:
    description: The agent's data folder.
    type: path
    default: /var/lib/loadfleet
  systems:
    description: Supported systems, as "Ubuntu 24.04".
    type: list
    elements: str
    default: []
  disk:
    description: Free space that must be there, one entry a purpose; those on one disk are added up.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Folder that will be filled, type: path, required: true}
      gib: {description: Free space, type: float, required: true}
      purpose: {description: What for, type: str, required: true}
      unless: {description: Nothing is needed where this path exists (a glob), type: str}
  memory_gib:
    description: Least memory.
    type: float
    default: 0
  needs_kernel_headers:
    description: Whether a kernel module will be built on the host.
    type: bool
    default: false
  needs_unsigned_modules:
    description: Whether a kernel module without a signature must load.
    type: bool
    default: false
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Look for what stands against it
  host_preflight:
    checks: [run, gpu]
"""

RETURN = r"""
findings:
  description: What stands against it, each with check, severity (error), cause and remedy.
  type: list
  elements: dict
  returned: always
passed:
  description: Check to what was found, of those that found nothing against it.
  type: dict
  returned: always
facts:
  description: What was read.
  type: dict
  returned: always
"""


def system() -> str:
    """Distribution and release, as "Ubuntu 24.04"; "Debian 12"."""
    try:
        text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    name = values.get("NAME", "unknown").strip('"').split()[0]
    return "{} {}".format(name, values.get("VERSION_ID", "").strip('"'))


def gpu_processes() -> list[str]:
    """ "pid name" of each compute process; none can be seen without a driver."""
    try:
        text: str = run_smi("--query-compute-apps=pid,process_name", "--format=csv,noheader")
    except SmiError:
        return []
    return text.strip().splitlines()


def kernel_headers_can_be_had() -> bool:
    release = platform.release()
    if pathlib.Path(f"/lib/modules/{release}/build/Makefile").exists():
        return True
    done = subprocess.run(
        ["apt-cache", "--quiet", "madison", f"linux-headers-{release}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return bool(done.stdout.strip())


def reboot_pending() -> str:
    """What asks for a reboot, or ''."""
    flag = pathlib.Path("/run/reboot-required")  # Debian's and Ubuntu's convention
    if not flag.exists():
        return ""
    try:
        packages = flag.with_name(flag.name + ".pkgs").read_text().split()
    except OSError:
        packages = []
    return ", ".join(sorted(set(packages))) or "the system"


def existing_parent(path: pathlib.Path) -> pathlib.Path:
    while not path.exists():
        path = path.parent
    return path


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


class Preflight:
    """The checks, by their names; each adds what it finds."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.findings = Findings()
        self.facts = self.findings.facts

    def finding(self, check: str, cause: str, remedy: str) -> None:
        self.findings.error(check, cause, remedy)

    def root(self) -> None:
        if os.geteuid() != 0:
            self.finding("root", "not root", "set ansible_become: true for this host")
        else:
            self.findings.well("root", "its tasks run as root")

    def run(self) -> None:
        owner = run_in_progress(self.params["home"])
        if owner is None:
            self.findings.well("run", "no run is in progress")
        else:
            self.finding(
                "run",
                describe_run(owner),
                "nothing is changed meanwhile: wait for its end, or loadfleet-agent stop",
            )

    def system(self) -> None:
        name = self.facts["system"] = system()
        if name not in self.params["systems"]:
            self.finding(
                "system",
                f"{name} is not supported",
                "use {}, or add it to preflight_systems at your own risk".format(
                    ", ".join(self.params["systems"])
                ),
            )
        if platform.machine() != "x86_64":
            self.finding(
                "system",
                f"processor {platform.machine()} is not supported",
                "use x86-64 hosts: vLLM's and LoadGen's builds are for it",
            )
        if not pathlib.Path("/run/systemd/system").is_dir():
            self.finding("system", "systemd does not manage this host", "boot it with systemd")
        self.findings.well("system", f"{name}, kernel {platform.release()}")

    def gpu(self) -> None:
        found = self.facts["gpus"] = [gpu["address"] for gpu in nvidia_gpus()]
        if not found:
            self.finding(
                "gpu",
                "no NVIDIA GPU on the PCI bus",
                "check the card's seat, its power and the firmware, or leave the host out",
            )
        processes = gpu_processes()
        if processes:
            self.finding(
                "gpu",
                "other processes are on the GPU: " + "; ".join(processes[:3]),
                "end them, or wait for their end",
            )
        self.findings.well("gpu", f"{len(found)} on the PCI bus, no other process on them")

    def secure_boot(self) -> None:
        on = self.facts["secure_boot"] = secure_boot()
        if on and self.params["needs_unsigned_modules"]:
            self.finding(
                "secure_boot",
                "secure boot is on, and modules built on the host are not signed",
                "leave nvidia_driver_source at auto (Ubuntu's signed modules are taken then), "
                "or turn secure boot off",
            )
        self.findings.well("secure_boot", "on" if on else "off")

    def kernel_headers(self) -> None:
        if self.params["needs_kernel_headers"] and not kernel_headers_can_be_had():
            self.finding(
                "kernel_headers",
                f"no headers for the running kernel {platform.release()}",
                "run apt-get update, or boot a kernel that the package sources have headers for",
            )
        self.findings.well(
            "kernel_headers",
            f"can be had for {platform.release()}"
            if self.params["needs_kernel_headers"]
            else "not needed: no module is built",
        )

    def memory(self) -> None:
        have, need = memory_gib(), self.params["memory_gib"]
        self.facts["memory_gib"] = round(have, 1)
        if have < need:
            self.finding(
                "memory", f"{have:.1f} GiB of memory, {need:g} are needed", "use a larger host"
            )
        self.findings.well("memory", f"{have:.1f} GiB, {need:g} are needed")

    def disk(self) -> None:
        disks: dict[int, list[dict[str, Any]]] = {}
        home = existing_parent(pathlib.Path(self.params["home"]))
        self.facts["home_free_gib"] = round(shutil.disk_usage(home).free / (1 << 30), 1)
        told = []
        for entry in self.params["disk"]:
            if entry["unless"] and glob.glob(entry["unless"]):  # noqa: PTH207 - an absolute pattern
                continue
            parent = existing_parent(pathlib.Path(entry["path"]))
            disks.setdefault(parent.stat().st_dev, []).append(dict(entry, parent=parent))
        for entries in disks.values():
            free = shutil.disk_usage(entries[0]["parent"]).free / (1 << 30)
            need = sum(float(entry["gib"]) for entry in entries)
            told.append(
                "{:.1f} GiB free at {}, {:g} are needed".format(free, entries[0]["path"], need)
            )
            if free < need:
                purposes = ", ".join("{purpose} {gib:g}".format(**entry) for entry in entries)
                self.finding(
                    "disk",
                    "{:.1f} GiB free at {}, {:g} are needed ({})".format(
                        free, entries[0]["path"], need, purposes
                    ),
                    "free some, or set loadfleet_home to a larger disk",
                )
        self.findings.well("disk", "; ".join(told) or "nothing more is needed")

    def reboot(self) -> None:
        waiting = reboot_pending()
        if waiting:
            self.finding(
                "reboot",
                f"a reboot is pending ({waiting})",
                "reboot the host, then give the same command again",
            )
        self.findings.well("reboot", "none is pending")


CHECKS = (
    "root", "run", "system", "gpu", "secure_boot", "kernel_headers", "memory", "disk", "reboot",
)  # fmt: skip


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "str"},
            "home": {"type": "path", "default": "/var/lib/loadfleet"},
            "systems": {"type": "list", "elements": "str", "default": []},
            "disk": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "gib": {"type": "float", "required": True},
                    "purpose": {"type": "str", "required": True},
                    "unless": {"type": "str"},
                },
            },
            "memory_gib": {"type": "float", "default": 0.0},
            "needs_kernel_headers": {"type": "bool", "default": False},
            "needs_unsigned_modules": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    host_time = time.time()
    preflight = Preflight(module.params)
    preflight.findings.run(
        (name, getattr(preflight, name))
        for name in module.params["checks"] or CHECKS
        if name in CHECKS
    )
    module.exit_json(changed=False, host_time=host_time, **preflight.findings.result)


if __name__ == "__main__":
    main()
