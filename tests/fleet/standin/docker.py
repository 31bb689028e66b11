"""The packages of Docker's own repository, made of Debian's: a real dockerd under Docker's names.

Packages that depend on Debian's cannot do it, because docker.io conflicts with docker-ce. So the
names and versions are Docker's, and the files and scripts are those of the Debian packages.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .debian import Package, build_tree

DOCKER = "29.8.2"
OLD_DOCKER = "29.7.2"
VERSIONS = {
    "docker-ce": (OLD_DOCKER, DOCKER),
    "docker-ce-cli": (OLD_DOCKER, DOCKER),
    "containerd.io": ("2.3.1", "2.3.6"),
    "docker-buildx-plugin": ("0.34.1", "0.35.0"),
}
"""Older and newer version of each package, in Docker's words."""

RELEASES = {"bookworm": "12", "trixie": "13"}
CONTENTS: dict[str, dict[str, Sequence[str]]] = {
    "trixie": {
        "docker-ce": ("docker.io",),
        "docker-ce-cli": ("docker-cli",),
        "containerd.io": ("containerd", "runc"),
        "docker-buildx-plugin": ("docker-buildx",),
    },
    # Its docker.io has the client in it, and the builder too: there is no buildx.
    "bookworm": {
        "docker-ce": ("docker.io",),
        "docker-ce-cli": (),
        "containerd.io": ("containerd", "runc"),
        "docker-buildx-plugin": (),
    },
}
"""Debian packages in each of Docker's, by suite."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHIVE = "http://deb.debian.org/debian"


def version(package: str, upstream: str, suite: str) -> str:
    """As Docker's repository has it: ``5:29.8.2-1~debian.13~trixie``."""
    epoch = "5:" if package.startswith("docker-ce") else ""
    return f"{epoch}{upstream}-1~debian.{RELEASES[suite]}~{suite}"


def build_docker(folder: Path, suite: str = "trixie") -> list[Path]:
    """Docker's packages in two versions each; downloads Debian's (80 MB) from its archive."""
    contents = CONTENTS[suite]
    debian = sorted({part for parts in contents.values() for part in parts})
    debs = _download(debian, suite, folder / f"debian-{suite}")
    return [
        deb
        for name, parts in contents.items()
        for deb in _build(name, {part: debs[part] for part in parts}, folder, suite, debian)
    ]


def _build(
    name: str, parts: dict[str, Path], folder: Path, suite: str, replaced: Sequence[str]
) -> list[Path]:
    """Both versions of a package with the files, scripts and dependencies of Debian's."""
    depends = ["docker-ce-cli", "containerd.io"] if name == "docker-ce" else []
    for part in parts.values():
        wanted = _deb("--field", part, "Depends").strip().split(", ")
        depends += [other for other in wanted if other.split()[0] not in replaced]
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        for part in parts.values():
            _deb("--extract", part, tree)
            _deb("--control", part, tree / "DEBIAN")
        return [
            build_tree(
                Package(
                    name=name,
                    version=version(name, upstream, suite),
                    summary="Docker under its own names",
                    note=f"Holds Debian's {' and '.join(parts) or 'part of docker.io'}.",
                    relations={
                        "Depends": ", ".join(dict.fromkeys(depends)),
                        "Conflicts": ", ".join(parts),
                    },
                ),
                tree,
                folder,
            )
            for upstream in VERSIONS[name]
        ]


def _deb(*arguments: str | Path) -> str:
    command = ["dpkg-deb", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _download(names: Sequence[str], suite: str, folder: Path) -> dict[str, Path]:
    """Packages of Debian's archive, which need not be that of this machine, by name."""
    root = folder / "apt"
    for part in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / part).mkdir(parents=True)
    (root / "status").touch()
    source = f"deb [arch=amd64 signed-by={KEYRING}] {ARCHIVE} {suite} main\n"
    (root / "etc/apt/sources.list").write_text(source, encoding="utf-8")
    settings = {
        "Dir": root,
        "Dir::State::status": root / "status",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    for command in (["update"], ["download", *names]):
        done = subprocess.run(
            ["apt-get", "--quiet", *options, *command],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"apt-get {' '.join(command)} from {ARCHIVE}: {done.stderr}")
    return {_deb("--field", deb, "Package").strip(): deb for deb in folder.glob("*.deb")}
