"""The agent as process 1 of a container: a real PID namespace, which is what decides here.

Docker and systemd around it are tried on test machines, in tests/fleet.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from loadfleet_agent.contract.status import FailureCode, State
from loadfleet_agent.units import systemd_is_here
from waiting import LONG_S, wait_until

from .helpers import ENDLESS, QUICK, Agent

IMAGE = "sha256:" + "2" * 64
IN_CONTAINER = ENDLESS | {"runtime": "container"}
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _can_make_namespaces() -> bool:
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return done.returncode == 0


needs_namespaces = pytest.mark.skipif(
    not _can_make_namespaces(), reason="may make no PID namespace"
)
Start = Callable[..., tuple[subprocess.Popen[str], psutil.Process]]


@pytest.fixture
def contained(agent: Agent) -> Agent:
    """An agent whose environment is that of a container."""
    agent.environment |= {"LOADFLEET_IMAGE": IMAGE}
    return agent


@pytest.fixture
def start(contained: Agent) -> Iterator[Start]:
    """Starts a command as process 1; gives what waits for it, and it as it is seen from here."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], psutil.Process]:
        outer = subprocess.Popen(
            [*NAMESPACE, *contained.command(*arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=contained.environment,
        )
        started.append(outer)
        (inner,) = wait_until(psutil.Process(outer.pid).children, "process 1")
        return outer, inner

    yield start
    for outer in started:
        outer.kill()
        outer.communicate()


@needs_namespaces
def test_sigterm_ends_it_in_order(contained: Agent, start: Start) -> None:
    """Once; a second one on its heels changes nothing."""
    outer, inner = start("run", *contained.settings("one", IN_CONTAINER))
    status = contained.await_phase("one", "server-performance")
    assert status.pid == 1
    inner.send_signal(signal.SIGTERM)
    inner.send_signal(signal.SIGINT)
    stdout, stderr = outer.communicate(timeout=LONG_S)
    assert outer.returncode == 1
    assert "Traceback" not in stdout + stderr
    result = contained.result("one")
    assert result.outcome == "stopped"
    assert result.failure is not None
    assert result.failure.code is FailureCode.STOPPED
    assert [phase.name for phase in result.phases] == ["offline-performance"]
    assert (contained.folder("one") / "manifest.json").is_file()
    ended = contained.status("one")
    assert ended is not None
    assert not ended.shutdown
    contained.await_no_process()


@needs_namespaces
def test_sigpwr_says_that_the_host_goes_down(contained: Agent, start: Start) -> None:
    outer, inner = start("run", *contained.settings("down", IN_CONTAINER))
    contained.await_phase("down", "server-performance")
    inner.send_signal(signal.SIGPWR)
    outer.communicate(timeout=LONG_S)
    status = contained.status("down")
    assert status is not None
    assert (status.state, status.shutdown) == (State.STOPPED, True)
    assert status.message == "stopped as the host was shut down or rebooted"


def _catches(process: psutil.Process, number: signal.Signals) -> bool:
    text = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in text.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@needs_namespaces
def test_sigterm_before_the_run_began_ends_it(start: Start) -> None:
    """The kernel has no default for process 1; this one waits for its plan."""
    outer, inner = start("run", "--plan", "-")
    wait_until(lambda: _catches(inner, signal.SIGTERM), "it listens")
    inner.send_signal(signal.SIGTERM)
    assert outer.wait(timeout=LONG_S) == 128 + signal.SIGTERM


@needs_namespaces
def test_the_host_watches_it_and_does_not_take_its_pid_for_its_own(
    contained: Agent, start: Start
) -> None:
    settings = contained.settings("seen", IN_CONTAINER)
    outer, inner = start("run", *settings)
    contained.await_phase("seen", "server-performance")
    shown = json.loads(contained("status", "--json").stdout)
    assert (shown["alive"], shown["status"]["pid"]) == (True, 1)
    assert contained("status", "--healthy").returncode == 0
    refused = contained("stop")
    assert refused.returncode == 1
    assert "process 1 is no agent here" in refused.stderr
    busy = contained("run", *contained.settings("other", IN_CONTAINER))
    assert "busy: run seen, phase server-performance" in busy.stderr
    inner.send_signal(signal.SIGTERM)
    outer.communicate(timeout=LONG_S)
    assert contained("wait").returncode == 1
    assert contained("status", "--healthy").returncode == 1


def test_it_records_its_image(contained: Agent) -> None:
    settings = QUICK | {"runtime": "container"}
    done = contained("run", *contained.settings("image", settings))
    assert done.returncode == 0, done.stderr
    facts = json.loads((contained.folder("image") / "host.json").read_text())
    assert facts["container_image"] == IMAGE


def test_all_output_goes_to_the_runs_log_where_it_is_asked_for(contained: Agent) -> None:
    folder = contained.folder("logged")
    folder.mkdir(parents=True)
    (folder / "agent.log").write_text("what was there\n")
    settings = QUICK | {"runtime": "container", "scenarios": ["Offline"]}
    done = contained("run", *contained.settings("logged", settings), "--log")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (folder / "agent.log").read_text()
    assert text.startswith("what was there\n")
    assert "offline-performance finished" in text
    assert "run logged: complete, valid" in text


@pytest.mark.parametrize(
    ("runtime", "image", "words"),
    [
        ("container", "", "the plan's runtime is container, this is not a container"),
        ("venv", IMAGE, f"the plan's runtime is venv, this is a container of {IMAGE}"),
    ],
)
def test_a_plan_runs_in_its_runtime_alone(
    agent: Agent, runtime: str, image: str, words: str
) -> None:
    agent.environment |= {"LOADFLEET_IMAGE": image}
    done = agent("run", *agent.settings("wrong", QUICK | {"runtime": runtime}))
    assert done.returncode == 1
    assert words in done.stderr
    assert "[bad-plan]" in done.stderr
    assert not (agent.home / "runs").exists()


@pytest.mark.skipif(systemd_is_here(), reason="this host can run containers")
def test_a_host_that_cannot_run_containers_is_told_what_to_do(agent: Agent) -> None:
    settings = QUICK | {"runtime": "container"}
    done = agent("start", *agent.settings("none", settings))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "[runtime-missing]" in done.stderr
    assert "role agent" in done.stderr
    assert "runtime: venv" in done.stderr
    # The same id can be started in the other runtime.
    assert list(agent.home.iterdir()) == []
