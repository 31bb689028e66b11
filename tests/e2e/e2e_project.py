"""A copy of the project as a user has it after git clone, and ansible-playbook in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
COMMAND = ["ansible-playbook", "run_benchmark.yml", "-i", "inventory/"]
PATIENCE_S = 900.0


class Project:
    """The project's tracked files in a folder of their own; wheelhouses are shared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        store = ROOT / ".loadfleet" / "wheelhouses"
        store.mkdir(parents=True, exist_ok=True)
        (folder / ".loadfleet").mkdir()
        (folder / ".loadfleet" / "wheelhouses").symlink_to(store)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = os.environ | {"PATH": path, "ANSIBLE_NOCOLOR": "1"}
        mine.pop("ANSIBLE_CONFIG", None)
        return mine

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command of the README, in a process group of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of the command."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    @property
    def latest(self) -> Path:
        return self.folder / "results" / "latest"

    def home(self, host: str) -> Path:
        return self.folder / ".loadfleet" / host

    def host_folder(self, host: str) -> Path | None:
        """The newest run's folder on the (local) host itself."""
        runs = sorted((self.home(host) / "runs").glob("*"))
        return runs[-1] if runs else None

    def phase(self, host: str) -> str:
        """Name of the phase in which the host is now, or ''."""
        folder = self.host_folder(host)
        try:
            text = (folder / "status.json").read_text(encoding="utf-8") if folder else ""
        except FileNotFoundError:
            return ""
        found = re.search(r'"phase": "([^"]+)"', text)
        return found[1] if found else ""

    def processes(self) -> list[psutil.Process]:
        """Every process that was started from this copy's agent environments."""
        mark = str(self.folder)
        found = []
        for process in psutil.process_iter():
            try:
                if mark in " ".join(process.cmdline()) or mark in (process.exe() or ""):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found
