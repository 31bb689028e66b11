"""Builds a wheelhouse: every wheel that a host's agent needs, locked and checked by hash.

Built once on the controller for a build and a Python version, then copied to the hosts, which
install from it alone: that is also the way into a site without a network. The versions and
hashes are those of locks/; the wheelhouse's own requirements.txt then names each wheel in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

BUILDS = {
    "cpu": "the agent with the CPU build of vLLM",
    "cuda": "the agent with the CUDA build of vLLM",
    "image": "the agent and all it needs but vLLM, for an image that has vLLM or the null engine",
    "client": "the agent without what runs, for a host whose runs are in a container",
}
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_GLIBC, NEWEST_GLIBC = 5, 35
"""glibc 2.N of the wheels that are taken; 2.35 is Ubuntu 22.04's, the oldest host we provision."""
PLATFORMS = (
    *(f"manylinux_2_{n}_x86_64" for n in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)),
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
)
WITHOUT_WHEELS = ("langdetect", "rouge-score", "sqlitedict", "word2number")
"""Packages that PyPI has as source only; pure Python, built here."""
PARALLEL_DOWNLOADS = 6
KEPT = 2
"""Wheelhouses of a build and Python that stay: this one, and the one that hosts may still want."""


class WheelhouseError(RuntimeError):
    """A wheelhouse could not be built; the text says which package and why."""


@dataclass(frozen=True)
class LockEntry:
    """One locked requirement with its hashes, as it stands in the lock."""

    name: str
    text: str


def wheelhouse_key(project: Path, build: str, python_version: str) -> str:
    """Name of the wheelhouse for what the locks and the agent's source are now.

    ``build`` is one of BUILDS. Raises WheelhouseError if it is not.
    """
    total = hashlib.sha256()
    for path in _inputs(project, build):
        total.update(path.relative_to(project).as_posix().encode())
        total.update(path.read_bytes())
    return f"{build}-py{python_version.replace('.', '')}-{total.hexdigest()[:12]}"


def build_wheelhouse(
    project: Path, build: str, python_version: str, store: Path, tell: Callable[[str], None]
) -> Path:
    """The wheelhouse's folder; built in ``store`` unless it is there already.

    ``python_version`` is the host's, as "3.11". Raises WheelhouseError.
    """
    target = store / wheelhouse_key(project, build, python_version)
    if (target / "requirements.txt").is_file():
        return target
    store.mkdir(parents=True, exist_ok=True)
    with only_one(store / f".{target.name}.lock"):
        if (target / "requirements.txt").is_file():
            return target
        tell(f"building the wheelhouse {target.name} (once; 1 to 5 minutes)")
        with tempfile.TemporaryDirectory(dir=store, prefix=".building-") as scratch:
            folder = Path(scratch) / "wheelhouse"
            folder.mkdir()
            _download(project, build, python_version, folder, Path(scratch), tell)
            _write_requirements(folder)
            shutil.copy2(_uv(), folder / "uv")
            shutil.rmtree(target, ignore_errors=True)
            folder.replace(target)
        _remove_older(target)
    tell(f"wheelhouse {target.name}: {len(list(target.glob('*.whl')))} wheels")
    return target


def _remove_older(target: Path) -> None:
    """Removes the wheelhouses of the same build and Python, but for the newest ones."""
    prefix = target.name.rpartition("-")[0]
    others = [path for path in target.parent.glob(f"{prefix}-*") if path.is_dir()]
    others.sort(key=lambda path: path.stat().st_mtime_ns)
    for old in others[:-KEPT]:
        shutil.rmtree(old)
        old.with_name(old.name + ".tar").unlink(missing_ok=True)


def _inputs(project: Path, build: str) -> list[Path]:
    source = sorted((project / "agent" / "loadfleet_agent").rglob("*"))
    kept = [path for path in source if path.is_file() and path.suffix in (".py", ".yaml")]
    return [*_locks(project, build), project / "agent" / "pyproject.toml", *kept]


def _locks(project: Path, build: str) -> list[Path]:
    if build not in BUILDS:
        raise WheelhouseError(f"no build {build!r}: give one of {', '.join(BUILDS)}")
    names = [f"agent-{build}.txt"]
    if build != "client":  # it scores nothing
        names.append("nltk-data.txt")
    return [project / "locks" / name for name in names]


def read_lock(path: Path) -> list[LockEntry]:
    """The entries of a requirements lock; comments are left out."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return [
        LockEntry(Requirement(block.split("\\")[0].strip()).name, block)
        for block in blocks
        if block.strip()
    ]


def _download(
    project: Path,
    build: str,
    python_version: str,
    folder: Path,
    scratch: Path,
    tell: Callable[[str], None],
) -> None:
    entries = [entry for path in _locks(project, build) for entry in read_lock(path)]
    plain = [e for e in entries if e.name not in WITHOUT_WHEELS and not _is_cpu_torch(e)]
    # Large and small wheels are spread over the groups as the alphabet has them.
    groups = [plain[start::PARALLEL_DOWNLOADS] for start in range(PARALLEL_DOWNLOADS)]
    selection = ["--python-version", python_version, "--only-binary", ":all:"]
    for platform in PLATFORMS:
        selection += ["--platform", platform]

    def download(group: list[LockEntry], *more: str) -> None:
        _pip("download", group, scratch, "--dest", str(folder), *selection, *more)

    def download_torch(entry: LockEntry) -> None:
        try:
            download([entry])
        except WheelhouseError:
            tell(f"{entry.name}: not in the configured sources, taken from {PYTORCH_CPU_INDEX}")
            download([entry], "--index-url", PYTORCH_CPU_INDEX)

    with ThreadPoolExecutor(PARALLEL_DOWNLOADS + 3) as pool:
        jobs = [pool.submit(download, group) for group in groups if group]
        jobs += [pool.submit(download_torch, e) for e in entries if _is_cpu_torch(e)]
        sources = [e for e in entries if e.name in WITHOUT_WHEELS]
        jobs.append(pool.submit(_pip, "wheel", sources, scratch, "--wheel-dir", str(folder)))
        jobs.append(pool.submit(_build_agent, project, folder))
        for job in jobs:
            job.result()


def _is_cpu_torch(entry: LockEntry) -> bool:
    return entry.name == "torch" and "+cpu" in entry.text


def _pip(command: str, entries: list[LockEntry], scratch: Path, *arguments: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=scratch, suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write("".join(entry.text for entry in entries))
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--require-hashes",
            "--disable-pip-version-check", "--requirement", name, *arguments,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        lines = done.stderr.splitlines()
        first = next((n for n, line in enumerate(lines) if line.startswith("ERROR")), len(lines))
        reason = [line.strip() for line in lines[first:] if line.strip()]
        raise WheelhouseError(
            f"pip {command} failed: {' '.join(reason or done.stderr.splitlines()[-1:])}"
        )


def _build_agent(project: Path, folder: Path) -> None:
    done = subprocess.run(
        [str(_uv()), "build", "--quiet", "--wheel", "--out-dir", str(folder), "agent"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise WheelhouseError(f"the agent's wheel could not be built: {done.stderr.strip()[-400:]}")
    (folder / ".gitignore").unlink(missing_ok=True)


def _uv() -> Path:
    """The uv binary of this environment: one static file, which runs on any Linux host."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise WheelhouseError("uv is not installed beside loadfleet: run make setup")
    return Path(found).resolve()


def _write_requirements(folder: Path) -> None:
    lines = []
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One builder at a time; a second waits for the first and then finds its work done."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def archive_wheelhouse(folder: Path) -> Path:
    """``<folder>.tar``, to be sent to a host in one piece; wheels are compressed already.

    Two operators who start at once write it once: the second waits for the first.
    """
    target = folder.with_name(folder.name + ".tar")
    with only_one(folder.with_name(f".{folder.name}.lock")):
        if not target.is_file():
            temporary = target.with_suffix(".tmp")
            with tarfile.open(temporary, "w") as archive:
                for path in sorted(folder.iterdir()):
                    archive.add(path, arcname=f"{folder.name}/{path.name}")
            temporary.replace(target)
    return target
