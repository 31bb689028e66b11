"""What a host has beside a container: a real environment of the client wheelhouse, offline.

It must drive runs that another environment carries out, and lack all that carries them out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loadfleet_aggregator.wheelhouse import build_wheelhouse
from waiting import LONG_S

from .conftest import FinishedRun
from .helpers import ENDLESS, SLOW, Agent, snapshot

ROOT = Path(__file__).parents[3]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HEAVY = ("mlperf_loadgen", "nltk", "numpy", "pyarrow", "safetensors", "tokenizers", "torch", "vllm")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the environment's commands."""
    folder = tmp_path_factory.mktemp("client")
    wheels = build_wheelhouse(ROOT, "client", PYTHON, folder / "store", print)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
    }
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
        [
            "pip", "install", "--quiet", "--python", str(folder / "venv" / "bin" / "python"),
            "--no-index", "--find-links", str(wheels), "--no-deps", "--require-hashes",
            "--requirement", str(wheels / "requirements.txt"),
        ],
    ):  # fmt: skip
        subprocess.run([wheels / "uv", *command], env=environment, check=True, timeout=LONG_S)
    return folder / "venv" / "bin"


class Client(Agent):
    """The same data folder, driven by the command of the client's environment."""

    def __init__(self, home: Path, command: Path) -> None:
        super().__init__(home)
        self._command = command

    def command(self, *arguments: str, home: bool = True) -> list[str]:
        return [str(self._command), *super().command(*arguments, home=home)[1:]]


def test_it_lacks_what_runs_and_needs_nothing_more(client: Path) -> None:
    missing = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    done = subprocess.run(
        [client / "python", "-c", missing, *HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    checked = subprocess.run(
        ["uv", "pip", "check", "--python", client / "python"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_it_attaches_to_a_run_watches_and_stops_it(client: Path, agent: Agent) -> None:
    driver = Client(agent.home, client / "loadfleet-agent")
    agent.start("driven", ENDLESS)
    agent.await_phase("driven", "server-performance")
    assert driver.start("driven", ENDLESS) == "attached"
    shown = json.loads(driver("status", "--json").stdout)
    assert (shown["alive"], shown["status"]["run_id"]) == (True, "driven")
    assert driver("status", "--healthy").returncode == 0
    stopped = driver("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "run driven stopped\n"), stopped.stderr
    assert agent.result("driven").outcome == "stopped"
    agent.await_no_process()


def test_it_reads_and_packs_a_finished_run(
    client: Path, null_run: FinishedRun, tmp_path: Path
) -> None:
    driver = Client(null_run.agent.home, client / "loadfleet-agent")
    before = snapshot(null_run.folder)
    waited = driver("wait")
    assert waited.returncode == 0, waited.stderr
    assert "complete, valid" in waited.stdout
    archive = tmp_path / "run.tar.gz"
    packed = driver("pack", "--output", str(archive))
    assert packed.returncode == 0, packed.stderr
    assert archive.stat().st_size > 0
    assert snapshot(null_run.folder) == before


def test_it_inspects_the_host(client: Path, agent: Agent) -> None:
    driver = Client(agent.home, client / "loadfleet-agent")
    done = driver("inspect", "--json", home=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (
        facts["machine_id"]
        == json.loads(agent("inspect", "--json", home=False).stdout)["machine_id"]
    )


def test_it_says_what_it_lacks_where_it_is_asked_to_run(client: Path, agent: Agent) -> None:
    driver = Client(agent.home, client / "loadfleet-agent")
    for command in ("prepare", "run"):
        done = driver(command, *driver.settings("here", SLOW)[: 2 if command == "prepare" else 4])
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "[package-missing]" in done.stderr
