"""What a run leaves to others: no secret, no open file, no open port.

One run by loadfleet run at -vvv under the usual umask, with secrets planted as users give them.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_until

from .helpers import BIN, LOCAL, ROOT, Site

TOKEN = "hf_" + "pl4nt3dT0k3n" * 3
TOKEN_VARIABLE = "hf_" + "pl4nt3dV4r" * 3
PASSWORD = "pl4nted-bec0me-passw0rd"
LOGIN_PASSWORD = "pl4nted-l0gin-passw0rd"
SECRETS = (TOKEN, TOKEN_VARIABLE, PASSWORD, LOGIN_PASSWORD)
SHARED = {"status.json", "events.jsonl", "telemetry.jsonl"}
"""Of a run on its host: numbers and states, for a watcher who is not root."""


@dataclass
class Watched:
    """What was seen of processes while something ran."""

    command_lines: set[str] = field(default_factory=set)
    environments: dict[str, set[str]] = field(default_factory=dict)
    """Command line of an agent's process to its environments, as text."""
    listening: set[str] = field(default_factory=set)
    """Addresses beyond loopback that a watched process listened on, with its command line."""
    looks: int = 0


@contextmanager
def watching(root_pid: int, mark: str) -> Iterator[Watched]:
    """Looks at all command lines, and at the sockets of what descends from a process or names
    ``mark``."""
    seen, ended = Watched(), threading.Event()

    def look() -> None:
        ours: set[int] = set()
        with suppress(psutil.NoSuchProcess):
            ours = {child.pid for child in psutil.Process(root_pid).children(recursive=True)}
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                seen.command_lines.add(line)
                if process.pid not in ours and mark not in line:
                    continue
                if "loadfleet_agent" in line:
                    text = repr(sorted(process.environ().items()))
                    seen.environments.setdefault(line, set()).add(text)
                for one in process.net_connections(kind="inet"):
                    listens = one.status == psutil.CONN_LISTEN or (
                        one.type == socket.SOCK_DGRAM and not one.raddr
                    )
                    if listens and one.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
                        seen.listening.add(f"{one.laddr.ip} {one.laddr.port}: {line}")
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        seen.looks += 1

    def go_on() -> None:
        while not ended.wait(0.5):
            look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_the_watch_sees_a_command_line_and_an_open_port() -> None:
    """Without this the tests below could not fail."""
    program = (
        "import socket, sys; s = socket.socket(); s.bind(('', 0)); s.listen(); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, TOKEN], stdin=subprocess.PIPE) as child:
        try:
            with watching(os.getpid(), "nothing") as seen:
                wait_until(lambda: bool(seen.listening), "the open port")
            assert any(TOKEN in line for line in seen.command_lines)
        finally:
            child.kill()


@dataclass(frozen=True)
class Run:
    site: Site
    output: str
    seen: Watched

    @property
    def on_host(self) -> Path:
        (folder,) = (self.site.homes / "one" / "runs").iterdir()
        return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Answers are collected, and tasks become root where there is sudo to do it."""
    become: dict[str, Any] = {
        "ansible_become_password": PASSWORD,
        "ansible_password": LOGIN_PASSWORD,
    }
    if os.geteuid() == 0 and shutil.which("sudo"):
        become["ansible_become"] = True
    site = Site(tmp_path_factory.mktemp("secrets"), {"one": LOCAL})
    site.write("host_vars/one.yml", become | {
        "hf_auth_token": TOKEN_VARIABLE,
        "loadfleet_collect_accuracy_logs": True,
        "loadfleet_modes": ["performance", "accuracy"],
    })  # fmt: skip
    before = os.umask(0o022)
    try:
        process = site.start(
            "-vvv", command=(BIN / "loadfleet", "run", "--project", ROOT), HF_TOKEN=TOKEN
        )
        with watching(process.pid, str(site.folder)) as seen:
            output, _ = process.communicate()
    finally:
        os.umask(before)
    assert process.returncode == 0, output
    return Run(site, output, seen)


def test_no_secret_is_in_any_file_or_output(run: Run) -> None:
    """Results, report, Ansible's own artifacts, and on the host plan, status, events and logs."""
    looked = [
        path
        for top in (run.site.results, run.site.reports, run.on_host, run.site.homes / "one")
        for path in top.rglob("*")
        if path.is_file() and "environments" not in path.parts
    ]
    names = {path.name for path in looked}
    assert {
        "stdout", "report.json", "report.html", "mlperf_report.html", "run.json", "one.json",
        "plan.json", "status.json", "events.jsonl", "agent.log", "engine.log", "collected.tar.gz",
    } <= names  # fmt: skip
    for path in looked:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, path
    assert not [secret for secret in SECRETS if secret in run.output]


def test_ansible_was_as_loud_as_it_was_asked_to_be(run: Run) -> None:
    """Module arguments and commands were shown, so a secret among them would have been."""
    assert "module_args" in run.output
    assert "<127.0.0.1>" in run.output or "<one>" in run.output


def test_no_secret_is_in_a_process_list(run: Run) -> None:
    assert any("loadfleet_agent run" in line for line in run.seen.command_lines)
    assert not [line for line in run.seen.command_lines for secret in SECRETS if secret in line]


def test_an_agents_processes_do_not_have_the_token(run: Run) -> None:
    agents = {line for line in run.seen.environments if "loadfleet_agent run" in line}
    workers = {line for line in run.seen.environments if "loadfleet_agent.worker" in line}
    assert agents
    assert workers
    for line in agents | workers:
        for environment in run.seen.environments[line]:
            assert TOKEN not in environment, line


def test_nothing_listens_beyond_loopback(run: Run) -> None:
    assert run.seen.looks > 5
    assert run.seen.listening == set()


def open_to_others(top: Path) -> set[str]:
    """What anyone but its owner may read, write or enter, by its path below ``top``."""
    return {
        str(path.relative_to(top))
        for path in [top, *top.rglob("*")]
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    }


def test_results_on_the_controller_are_their_owners_alone(run: Run) -> None:
    folder = (run.site.results / "latest").resolve()
    assert (folder / "hosts/one/phases/offline-accuracy/mlperf_log_accuracy.json").is_file()
    assert list((folder / "ansible").glob("*/stdout"))
    for shut in (run.site.results, folder, folder / "hosts", folder / "ansible"):
        assert stat.S_IMODE(shut.stat().st_mode) == 0o700
    assert open_to_others(folder / "hosts") == set()


def test_of_a_run_on_its_host_only_states_and_numbers_are_for_all(run: Run) -> None:
    assert (run.on_host / "phases/offline-accuracy/mlperf_log_accuracy.json").is_file()
    assert open_to_others(run.on_host) == {".", *SHARED}
    assert stat.S_IMODE(run.on_host.stat().st_mode) == 0o711
    for name in SHARED:
        assert stat.S_IMODE((run.on_host / name).stat().st_mode) == 0o644


def test_prompts_and_archives_on_the_host_are_its_owners_alone(run: Run) -> None:
    home = run.site.homes / "one"
    library = home / "cache" / "datasets"
    assert list(library.glob("*.parquet"))
    assert open_to_others(library) == set()
    assert stat.S_IMODE((home / "collected.tar.gz").stat().st_mode) == 0o600


def test_the_published_report_is_for_all(run: Run) -> None:
    pages = list((run.site.reports / "latest").iterdir())
    assert pages
    for page in pages:
        assert stat.S_IMODE(page.stat().st_mode) == 0o644
