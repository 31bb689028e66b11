"""Builds a Debian package from a description of it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

NOTE = "This is a stand-in for tests of loadfleet. It drives no GPU and is not NVIDIA's software."


class Package(BaseModel):
    """A binary package: what dpkg must know of it and what it holds."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    summary: str
    note: str = NOTE
    architecture: str = "amd64"
    source: str = ""
    relations: dict[str, str] = {}
    """Depends, Conflicts and so on, as in a control file."""
    files: dict[str, str | bytes] = {}
    """Contents by absolute path; executable in a folder named bin, and where #! is first."""
    links: dict[str, str] = {}
    scripts: dict[str, str] = {}
    """postinst, prerm, postrm and triggers."""


def build(package: Package, folder: Path) -> Path:
    """``NAME_VERSION_ARCHITECTURE.deb`` in ``folder``; CalledProcessError if dpkg-deb refuses."""
    with tempfile.TemporaryDirectory() as temporary:
        return build_tree(package, Path(temporary) / "tree", folder)


def build_tree(package: Package, tree: Path, folder: Path) -> Path:
    """The same, with what ``tree`` holds already, such as the files of other packages."""
    folder.mkdir(parents=True, exist_ok=True)
    tree.mkdir(exist_ok=True)
    tree.chmod(0o755)
    version = package.version.rpartition(":")[2]  # names of files leave the epoch out
    deb = folder / f"{package.name}_{version}_{package.architecture}.deb"
    scripts = {f"/DEBIAN/{name}": script for name, script in package.scripts.items()}
    for path, content in (package.files | scripts | {"/DEBIAN/control": _control(package)}).items():
        _put(tree, path, content)
    for path, target in package.links.items():
        (tree / path.lstrip("/")).symlink_to(target)
    conffiles = sorted(path for path in tree.glob("etc/**/*") if path.is_file())
    if conffiles:
        lines = "".join(f"/{path.relative_to(tree)}\n" for path in conffiles)
        _put(tree, "/DEBIAN/conffiles", lines)
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", str(tree), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    return deb


def _put(tree: Path, path: str, content: str | bytes) -> None:
    target = tree / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    target.write_bytes(data)
    target.chmod(0o755 if target.parent.name == "bin" or data.startswith(b"#!") else 0o644)


def _control(package: Package) -> str:
    fields = {
        "Package": package.name,
        "Source": package.source,
        "Version": package.version,
        "Architecture": package.architecture,
        "Maintainer": "loadfleet tests <nobody@localhost>",
        **package.relations,
        "Description": f"{package.summary} (stand-in for tests)\n {package.note}",
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
