"""Trees of Debian releases that machines stand on, and the tools to make and boot them."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from controller import (
    PATH,
    FleetError,
    call,
    locked,
    mounts,
    need_root,
    remove_tree,
    write_whole,
)

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

BUILD_S = 3600.0


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
