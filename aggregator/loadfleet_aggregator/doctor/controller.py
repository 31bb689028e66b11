"""Checks of the controller itself, which ask no inventory and no host."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import Requirement

from ..fleet.settings import FleetSettings
from ..text.listing import some
from .catalogue import make_check
from .model import Check, Severity

OLDEST_PYTHON = (3, 11)
WHEELHOUSE_GIB = 12.0
"""The CUDA build's wheels and the archive of them that goes to the hosts: an estimate on the safe
side, not measured."""
COMMAND_S = 20
SETUP = "run make setup"

ControllerCheck = Callable[[Path], list[Check]]
"""Takes the project's folder."""


def check_python(_project: Path) -> list[Check]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(str(part) for part in OLDEST_PYTHON)
        return [
            make_check(
                "python",
                Severity.ERROR,
                f"Python {version} is too old",
                f"make setup PYTHON=python{wanted}, or a newer one",
            )
        ]
    return [make_check("python", Severity.OK, f"Python {version} in {sys.prefix}")]


def check_packages(project: Path) -> list[Check]:
    found = []
    try:
        lock = (project / "locks" / "controller.txt").read_text(encoding="utf-8")
    except OSError as error:
        found.append(
            make_check("packages", Severity.ERROR, f"locks/controller.txt: {error.strerror}",
                       "check the project out whole")
        )  # fmt: skip
        lock = ""
    locked = locked_versions(lock)
    have = {name: _installed(name) for name in locked}
    if missing := [name for name, version in have.items() if version is None]:
        found.append(
            make_check("packages", Severity.ERROR, f"not installed: {some(missing)}", SETUP)
        )
    if other := [
        f"{name} {have[name]} (locked {version})"
        for name, version in locked.items()
        if have[name] not in (None, version)
    ]:
        found.append(
            make_check("packages", Severity.WARNING, f"not as locked: {some(other)}", SETUP)
        )
    found += _check_ansible()
    ansible = _installed("ansible-core")
    return found or [
        make_check(
            "packages",
            Severity.OK,
            f"ansible-core {ansible} and {len(locked) - 1} others as locked",
        )
    ]


def locked_versions(lock: str) -> dict[str, str]:
    """Package to version, of a lock's lines ``name==version ; marker``, that this Python takes."""
    found = {}
    for line in lock.splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+))?", line)
        if match is None:
            continue
        try:
            if match[3] and not Marker(match[3].strip()).evaluate():
                continue
        except InvalidMarker:
            continue
        found[match[1]] = match[2]
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_ansible() -> list[Check]:
    """ansible-core in the range that loadfleet supports, and its command first in PATH."""
    found = []
    version = _installed("ansible-core")
    for text in metadata.requires("loadfleet") or ():
        wanted = Requirement(text)
        if wanted.name == "ansible-core" and version and version not in wanted.specifier:
            found.append(
                make_check("packages", Severity.ERROR,
                           f"ansible-core {version} is not in {wanted.specifier}", SETUP)
            )  # fmt: skip
    ours = Path(sys.executable).parent / "ansible-playbook"
    first = shutil.which("ansible-playbook")
    if first is None or Path(first).resolve() != ours.resolve():
        found.append(
            make_check(
                "packages",
                Severity.WARNING,
                f"ansible-playbook is {first or 'not in PATH'}, and not {ours}",
                f"source {Path(sys.executable).parent}/activate",
            )
        )
    return found


def check_config(project: Path) -> list[Check]:
    """Which ansible.cfg a command takes that is given in the project's folder.

    Ansible's own order: ANSIBLE_CONFIG, ./ansible.cfg unless all may write to the folder, the
    user's, the system's.
    """
    wanted = project / "ansible.cfg"
    named = os.environ.get("ANSIBLE_CONFIG")
    if not wanted.is_file():
        return [
            make_check("config", Severity.ERROR, f"{wanted} is not there",
                       "check the project out whole")
        ]  # fmt: skip
    if named:
        taken = Path(named).expanduser()
        taken = taken / "ansible.cfg" if taken.is_dir() else taken
        if not taken.exists() or taken.resolve() != wanted.resolve():
            return [
                make_check("config", Severity.ERROR,
                           f"ANSIBLE_CONFIG names {named}, so {wanted} is not read",
                           "unset ANSIBLE_CONFIG")
            ]  # fmt: skip
    elif project.stat().st_mode & stat.S_IWOTH:
        return [
            make_check("config", Severity.ERROR,
                       f"all may write to {project}, so Ansible does not read its ansible.cfg",
                       f"chmod o-w {project}, or export ANSIBLE_CONFIG={wanted}")
        ]  # fmt: skip
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(wanted, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        line = str(error).splitlines()[0]
        return [make_check("config", Severity.ERROR, f"{wanted}: {line}", "mend the file")]
    return [make_check("config", Severity.OK, str(wanted))]


def check_wheelhouse(project: Path) -> list[Check]:
    found = []
    for name in ("uv", "pip"):
        if _installed(name) is None:
            found.append(
                make_check("wheelhouse", Severity.ERROR, f"{name} is not installed", SETUP)
            )
    store = project / str(FleetSettings.model_fields["wheelhouse_store"].default)
    built = sorted(path.parent.name for path in store.glob("*/requirements.txt"))
    free = free_gib(store)
    if free < WHEELHOUSE_GIB and not any(name.startswith("cuda-") for name in built):
        found.append(
            make_check(
                "wheelhouse",
                Severity.WARNING,
                f"{free:.1f} GiB free at {store}, a wheelhouse with CUDA takes up to "
                f"{WHEELHOUSE_GIB:g}",
                "free some, or set loadfleet_wheelhouse_store to a larger disk",
            )
        )
    return found or [
        make_check("wheelhouse", Severity.OK,
                   f"{free:.0f} GiB free; built: {', '.join(built) or 'none yet'}")
    ]  # fmt: skip


def check_clock(_project: Path) -> list[Check]:
    synchronised = clock_synchronised()
    if synchronised is None:
        return [
            make_check("clock", Severity.SKIPPED,
                       "neither timedatectl nor chronyc tells whether it is synchronised")
        ]  # fmt: skip
    if not synchronised:
        return [
            make_check("clock", Severity.WARNING, "the clock is not synchronised",
                       "timedatectl set-ntp true; hosts are compared with it")
        ]  # fmt: skip
    return [make_check("clock", Severity.OK, "synchronised")]


def clock_synchronised() -> bool | None:
    """By systemd's word or chrony's; None where neither knows."""
    text = _output("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if text in ("yes", "no"):
        return text == "yes"
    text = _output("chronyc", "-n", "tracking")
    status = re.search(r"Leap status\s*:\s*(.+)", text)
    return status[1].strip() == "Normal" if status else None


CONTROLLER_FUNCTIONS: Mapping[str, ControllerCheck] = {
    "python": check_python,
    "packages": check_packages,
    "config": check_config,
    "wheelhouse": check_wheelhouse,
    "clock": check_clock,
}
"""Check to what makes it."""


def free_gib(path: Path) -> float:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / (1 << 30)


def _output(*command: str) -> str:
    """What it prints, '' if it is not there or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
