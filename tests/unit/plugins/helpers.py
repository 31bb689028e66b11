"""Real ansible-playbook runs over inventories in a temporary folder."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
LONG_S = 1800.0

PLAYBOOK = (BIN / "ansible-playbook", ROOT / "run_benchmark.yml")

LOCAL = {"ansible_connection": "local"}
# Nothing listens on port 1: the connection is refused at once.
UNREACHABLE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
BAD_PYTHON = LOCAL | {"loadfleet_python": "/usr/bin/python3-does-not-exist"}


def load_plugin(name: str, kind: str = "action") -> ModuleType:
    """A plugin as a module; plugins/ is no package."""
    if kind == "modules":  # what Ansible packs with a module
        for packed in sorted((ROOT / "plugins" / "module_utils").glob("*.py")):
            load_plugin(packed.stem, "module_utils")
    path = ROOT / "plugins" / kind / f"{name}.py"
    module_name = f"ansible.module_utils.{name}" if kind == "module_utils" else f"tested_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Played:
    """What a playbook left."""

    returncode: int
    output: str

    def has_line(self, *parts: str) -> bool:
        """Whether all parts stand on one line."""
        return any(all(part in line for part in parts) for line in self.output.splitlines())


class Site:
    """An inventory and the folders that a run over it writes to."""

    def __init__(self, folder: Path, hosts: dict[str, dict[str, Any]]) -> None:
        self.folder = folder
        self.inventory = folder / "inventory"
        self.results = folder / "results"
        self.reports = folder / "reports"
        self.homes = folder / "homes"
        self.inventory.mkdir(parents=True)
        self.write("hosts.yml", {"all": {"hosts": hosts}})
        self.write(
            "group_vars/all.yml",
            {
                "ansible_python_interpreter": sys.executable,
                "loadfleet_home": f"{self.homes}/{{{{ inventory_hostname }}}}",
                "loadfleet_results_dir": str(self.results),
                "loadfleet_reports_dir": str(self.reports),
                "loadfleet_profile": "null-engine",
                "loadfleet_model": {"source": "tiny"},
                "loadfleet_dataset": {"source": "synthetic"},
                "loadfleet_length": {"samples": 16, "server_queries": 500},
                "loadfleet_server_target_qps": 500,
                "loadfleet_modes": ["performance"],
            },
        )

    def write(self, name: str, content: dict[str, Any]) -> Path:
        path = self.inventory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    def add(self, name: str, line: str) -> str:
        """Adds a line to a file of variables; returns its place as file:line."""
        path = self.inventory / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.is_file() else "---\n"
        path.write_text(f"{before}{line}\n", encoding="utf-8")
        return f"{path}:{len(before.splitlines()) + 1}"

    def play(self, *arguments: str, command: Sequence[str | Path] = PLAYBOOK) -> Played:
        process = self.start(*arguments, command=command)
        output, _ = process.communicate(timeout=LONG_S)
        return Played(process.returncode, output)

    def start(
        self, *arguments: str, command: Sequence[str | Path] = PLAYBOOK, **environment: str
    ) -> subprocess.Popen[str]:
        """The playbook, or another command over the inventory, in the background."""
        return subprocess.Popen(
            [*map(str, command), "-i", str(self.inventory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "COLUMNS": "1000",
            }
            | environment,
        )

    def report(self) -> Any:
        return json.loads((self.results / "latest" / "report.json").read_bytes())

    def record(self) -> Any:
        return json.loads((self.results / "latest" / "run.json").read_bytes())

    def verdicts(self) -> dict[str, str]:
        return {host["name"]: host["verdict"]["kind"] for host in self.report()["hosts"]}

    def written(self) -> list[str]:
        """Everything that stands in the folders of a run, on the controller and on hosts."""
        return [
            str(path)
            for top in (self.results, self.reports, self.homes)
            for path in ([top, *top.rglob("*")] if top.exists() else [])
            if not path.is_dir()
        ]
