"""The commands as a user calls them: a real agent at work, a real sshd, a real terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from loadfleet_agent.contract.run_folder import STATUS
from waiting import LONG_S, wait_until

from ..helpers import BIN, make_plan
from ..sshd import needs_sshd, start_sshd

ROOT = Path(__file__).parents[4]
RUN = "long-run"


@dataclass(frozen=True)
class AtWork:
    """A host whose agent is in a long run."""

    inventory: Path
    home: Path
    agent: subprocess.Popen[bytes]

    @property
    def status(self) -> Any:
        try:
            return json.loads((self.home / "runs" / RUN / STATUS).read_bytes())
        except FileNotFoundError:
            return {}


def write_inventory(folder: Path, home: Path, hosts: dict[str, dict[str, Any]]) -> Path:
    path = folder / "hosts.yml"
    common = {
        "loadfleet_home": str(home),
        "loadfleet_results_dir": str(folder / "results"),
        "ansible_python_interpreter": sys.executable,
    }
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common}}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    """Minutes of Server, at a rate that leaves the processors to others."""
    folder = tmp_path_factory.mktemp("at-work")
    home = folder / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "loadfleet-agent").symlink_to(BIN / "loadfleet-agent")
    plan = make_plan(
        "here",
        run_id=RUN,
        length={"samples": 16, "server_queries": 200_000},
        server_target_qps=50,
        modes=["performance"],
    )
    (home / "plan.json").write_text(plan.model_dump_json())
    log = (folder / "agent.txt").open("w")
    agent = subprocess.Popen(
        [BIN / "loadfleet-agent", "run", "--home", home, "--plan", home / "plan.json"],
        stdout=log,
        stderr=log,
    )
    inventory = write_inventory(folder, home, {"here": {"ansible_connection": "local"}})
    work = AtWork(inventory, home, agent)
    try:
        wait_until(
            lambda: work.status.get("phase") == "server-performance" or agent.poll() is not None,
            "the Server scenario",
        )
        assert agent.poll() is None, (folder / "agent.txt").read_text()
        (home / "runs" / RUN / "engine.log").write_text("engine \x1b[2Jsays\n")
        yield work
    finally:
        if agent.poll() is None:
            agent.terminate()
        agent.wait(timeout=LONG_S)
        log.close()


def loadfleet(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "loadfleet", *map(str, arguments)],
        capture_output=True, text=True, timeout=LONG_S, check=False, cwd=ROOT, **options,
    )  # fmt: skip


def in_terminal(*arguments: object, columns: int = 120) -> pexpect.spawn[str]:
    return pexpect.spawn(
        str(BIN / "loadfleet"), [str(word) for word in arguments], cwd=str(ROOT), encoding="utf-8",
        dimensions=(24, columns), timeout=LONG_S, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip


class TestWatch:
    def test_one_look_as_json(self, at_work: AtWork) -> None:
        done = loadfleet("watch", "--once", "--json", "-i", at_work.inventory)
        assert done.returncode == 0, done.stderr
        (host,) = json.loads(done.stdout)["hosts"]
        assert (host["host"], host["state"], host["run_id"]) == ("here", "running", RUN)
        assert host["phase"] == "server-performance"
        assert host["total"] == 200_000

    def test_one_look_as_lines(self, at_work: AtWork) -> None:
        done = loadfleet("watch", RUN, "--once", "-i", at_work.inventory)
        assert done.returncode == 0, done.stderr
        head, row = done.stdout.splitlines()
        assert head.startswith(f"run {RUN}: 1 running")
        assert row.startswith("here: ")
        assert "server-performance" in row

    def test_a_live_table_that_q_leaves(self, at_work: AtWork) -> None:
        terminal = in_terminal("watch", "-i", at_work.inventory, "--every", "0.5")
        terminal.expect(f"run {RUN}: 1 running")
        terminal.expect("here .*server-performance .*/200,000")
        terminal.expect("q leaves")
        terminal.expect(f"run {RUN}: 1 running")  # drawn anew
        terminal.send("q")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
        assert at_work.agent.poll() is None

    def test_ctrl_c_leaves_without_a_trace(self, at_work: AtWork) -> None:
        terminal = in_terminal("watch", "-i", at_work.inventory)
        terminal.expect("server-performance")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        assert "Traceback" not in str(terminal.before)
        terminal.close()
        assert terminal.exitstatus == 0

    def test_a_host_that_is_not_reached_is_told_and_stops_no_other(
        self, at_work: AtWork, tmp_path: Path
    ) -> None:
        hosts = {
            "gone": {"ansible_host": "127.0.0.1", "ansible_port": 1},
            "here": {"ansible_connection": "local"},
        }
        inventory = write_inventory(tmp_path, at_work.home, hosts)
        done = loadfleet("watch", "--once", "--json", "-i", inventory)
        assert done.returncode == 1
        gone, here = json.loads(done.stdout)["hosts"]
        assert gone["state"] == "unreachable"
        assert "127.0.0.1:1" in gone["note"]
        assert here["state"] == "running"

    @needs_sshd
    def test_over_ssh(self, at_work: AtWork, tmp_path: Path) -> None:
        with start_sshd(tmp_path / "sshd") as sshd:
            inventory = write_inventory(tmp_path, at_work.home, {"there": sshd.variables()})
            done = loadfleet("watch", "--once", "--json", "-i", inventory)
        (there,) = json.loads(done.stdout)["hosts"]
        assert (there["host"], there["state"], there["run_id"]) == ("there", "running", RUN)


class TestLogs:
    def test_of_the_engine_are_made_harmless(self, at_work: AtWork) -> None:
        done = loadfleet("logs", "here", "--engine", "-i", at_work.inventory)
        assert done.returncode == 0, done.stderr
        assert "engine \\x1b[2Jsays" in done.stdout

    def test_events_are_told_in_words(self, at_work: AtWork) -> None:
        done = loadfleet("logs", "here", "--events", "-n", "1", "-i", at_work.inventory)
        (line,) = done.stdout.splitlines()
        assert line.endswith("server-performance started")
        assert "{" not in line

    def test_follows_until_ctrl_c(self, at_work: AtWork) -> None:
        log = at_work.home / "runs" / RUN / "engine.log"
        terminal = in_terminal("logs", "here", "-f", "--engine", "-i", at_work.inventory)
        terminal.expect("says")
        with log.open("a") as stream:
            stream.write("and more\n")
        terminal.expect("and more")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0

    def test_that_are_not_there_are_refused_in_one_line(self, at_work: AtWork) -> None:
        done = loadfleet("logs", "here", "--run", "other", "-i", at_work.inventory)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "runs/other/agent.log" in line


class TestExec:
    def test_prefixes_output_and_tells_who_failed(self, tmp_path: Path) -> None:
        hosts = {name: {"ansible_connection": "local"} for name in ("a", "b")}
        inventory = write_inventory(tmp_path, tmp_path / "{{ inventory_hostname }}", hosts)
        (tmp_path / "a").mkdir()
        line = f"cd {tmp_path}/a; printf 'one\\ntwo\\033[2J\\n'; exit 3"
        done = loadfleet("exec", "-i", inventory, "--", line)
        assert done.returncode == 1
        assert sorted(done.stdout.splitlines()) == [
            "a | one", r"a | two\x1b[2J", "b | one", r"b | two\x1b[2J",
        ]  # fmt: skip
        assert sorted(done.stderr.splitlines()) == ["a: ended with 3", "b: ended with 3"]

    def test_takes_words_as_they_are_and_prints_json(self, at_work: AtWork) -> None:
        done = loadfleet("exec", "-i", at_work.inventory, "--json", "--", "echo", "$HOME  x", "-l")
        assert done.returncode == 0, done.stderr
        (host,) = json.loads(done.stdout)["hosts"]
        assert (host["code"], host["stdout"]) == (0, "$HOME  x -l\n")


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["watch", ".."], "no run id"),
            (["watch", "--limit", "nowhere"], "nowhere"),
            (["logs", "nowhere"], "nowhere"),
            (["logs", "here", "--engine", "--events"], "give one of them"),
            (["stop", "a b"], "no run id"),
            (["clean", "--older-than", "soon"], "30d"),
            (["collect"], "no run there"),
            (["run", "--ask-vault-pass"], "--vault-password-file"),
            (["run", "-K"], "--become-password-file"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_are_one_line(self, at_work: AtWork, arguments: list[str], said: str) -> None:
        done = loadfleet(*arguments, "-i", at_work.inventory)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = [text for text in done.stderr.splitlines() if text.strip()]
        assert said in line

    def test_of_a_folder_without_the_project(self, tmp_path: Path) -> None:
        for command in ("watch", "stop", "run", "provision"):
            done = loadfleet(command, "--project", tmp_path)
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert "--project" in line


class TestStop:
    """Last: it ends what the others look at."""

    def test_of_another_run_does_nothing(self, at_work: AtWork) -> None:
        done = loadfleet("stop", "other", "-i", at_work.inventory)
        assert (done.returncode, done.stdout) == (0, "here: not running (run other)\n")
        assert at_work.agent.poll() is None

    def test_ends_the_run_in_order_and_again_does_nothing(self, at_work: AtWork) -> None:
        done = loadfleet("stop", "-i", at_work.inventory)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"here: stopped (run {RUN})\n"
        assert at_work.status["state"] == "stopped"
        assert (at_work.home / "runs" / RUN / "result.json").is_file()
        again = loadfleet("stop", "--json", "-i", at_work.inventory)
        assert again.returncode == 0
        (host,) = json.loads(again.stdout)["hosts"]
        assert (host["state"], host["run_id"]) == ("not running", RUN)
        watched = loadfleet("watch", "-i", at_work.inventory)
        assert watched.returncode == 1
        assert "here: stopped at server-performance" in watched.stdout
