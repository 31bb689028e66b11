"""loadfleet run at a real terminal: the real playbook, its table, and Ctrl-C once and twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest
from waiting import LONG_S

from .helpers import BIN, LOCAL, ROOT, UNREACHABLE, Site
from .helpers import LONG_S as PLAY_S

TOKEN = "hf_" + "s3cr3t" * 5
LONG = {
    "loadfleet_length": {"samples": 16, "server_queries": 40_000},
    "loadfleet_server_target_qps": 20,
}
"""Half an hour of Server: time to leave and to come back, on any machine."""


AT_WORK = r"good  +\d/8 server-performance +[\d,]+/40,"
"""The row of the table; the estimate above it has that phase's name too."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), {"good": LOCAL})


def environment(**more: str) -> dict[str, str]:
    mine = os.environ | {"TERM": "xterm", "HF_TOKEN": TOKEN} | more
    mine.pop("ANSIBLE_CONFIG", None)
    return mine


def in_terminal(site: Site, *arguments: str) -> pexpect.spawn[str]:
    command = ["run", "--project", str(ROOT), "-i", str(site.inventory), *arguments]
    return pexpect.spawn(
        str(BIN / "loadfleet"), command, cwd=str(site.folder), encoding="utf-8",
        dimensions=(40, 120), timeout=PLAY_S, env=environment(),
    )  # fmt: skip


def loadfleet(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "loadfleet", *arguments, "--project", ROOT, "-i", site.inventory],
        capture_output=True, text=True, timeout=PLAY_S, check=False, cwd=site.folder,
        env=environment(),
    )  # fmt: skip


def status(site: Site, run_id: str) -> Any:
    path = site.homes / "good" / "runs" / run_id / "status.json"
    return json.loads(path.read_bytes())


def artifacts(site: Site, run_id: str) -> list[Path]:
    return sorted((site.results / run_id / "ansible").iterdir())


def extra(**variables: Any) -> tuple[str, str]:
    return "-e", json.dumps(variables)


def assert_kept(site: Site, run_id: str) -> None:
    """Of every attempt there is a folder with what Ansible said, and nothing secret in it."""
    for folder in artifacts(site, run_id):
        assert not folder.is_symlink()
        assert (folder / "stdout").stat().st_size > 0
        assert any((folder / "job_events").iterdir())
        assert not (folder / "command").exists()
        for path in folder.rglob("*"):
            if path.is_file():
                assert TOKEN not in path.read_text(errors="replace"), path


def test_ctrl_c_once_leaves_the_run_to_the_host_and_twice_stops_it(site: Site) -> None:
    """In one test: the environment is installed once."""
    settings = extra(**LONG, loadfleet_run_id="left-and-stopped")
    terminal = in_terminal(site, *settings)
    terminal.expect("run left-and-stopped: 1 running")
    terminal.expect(AT_WORK)
    terminal.sendintr()
    terminal.expect("run left-and-stopped goes on by itself on good")
    terminal.expect("loadfleet watch left-and-stopped")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert status(site, "left-and-stopped")["state"] == "running"

    # The same command attaches again, and the second Ctrl-C ends the run in order.
    terminal = in_terminal(site, *settings)
    terminal.expect(AT_WORK)
    terminal.sendintr()
    terminal.expect("Ctrl-C again stops the run")
    terminal.sendintr()
    terminal.expect(re.escape("good: stopped (run left-and-stopped)"), timeout=LONG_S)
    terminal.expect("goes on after them")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert "Traceback" not in str(terminal.before)
    told = status(site, "left-and-stopped")
    assert (told["state"], told["attempt"]) == ("stopped", 1)
    assert len(artifacts(site, "left-and-stopped")) == 2
    assert_kept(site, "left-and-stopped")


class TestWithoutATerminal:
    def test_prints_what_ansible_prints_and_ends_with_0(self, site: Site) -> None:
        token = ("-e", f"hf_auth_token={TOKEN}")
        done = loadfleet(site, "run", *extra(loadfleet_run_id="plain"), *token)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        assert any(text.startswith("TASK [Wait for the run]") for text in lines)
        assert any(re.match(r"\d\d:\d\d:\d\d good: \d/8 ", text) for text in lines)
        assert "\x1b" not in done.stdout
        assert_kept(site, "plain")
        assert (artifacts(site, "plain")[0] / "rc").read_text() == "0"

    def test_json_has_the_verdicts_and_an_invalid_host_gives_1(self, tmp_path: Path) -> None:
        lost = Site(tmp_path, {"gone": UNREACHABLE})
        done = loadfleet(lost, "run", "--json", *extra(loadfleet_run_id="lost"))
        assert done.returncode == 1, done.stderr
        told = json.loads(done.stdout)
        assert (told["run_id"], told["state"]) == ("lost", "finished")
        assert told["hosts"]["gone"]["kind"] == "unreachable"
        assert "TASK [" in done.stderr

    def test_wrong_settings_give_2_and_one_line(self, site: Site) -> None:
        before = site.written()
        done = loadfleet(site, "run", "--json", "-e", "loadfleet_profil=x")
        assert done.returncode == 2
        assert json.loads(done.stdout)["state"] == "refused"
        assert done.stderr.splitlines()[-1].startswith("loadfleet: ")
        assert "did you mean loadfleet_profile?" in done.stderr.splitlines()[-1]
        assert site.written() == before

    def test_an_option_that_ansible_does_not_know_gives_2(self, site: Site) -> None:
        done = loadfleet(site, "run", "--no-such-option")
        assert done.returncode == 2
        assert "--no-such-option" in done.stderr.splitlines()[-1]

    def test_collects_what_is_missing(self, site: Site) -> None:
        settings = extra(loadfleet_run_id="plain")
        whole = loadfleet(site, "collect", "plain", "--missing", *settings)
        assert (whole.returncode, whole.stdout) == (
            0, "run plain: the files of all hosts are whole\n",
        )  # fmt: skip
        (site.results / "plain" / "hosts" / "good" / "result.json").write_text("{}")
        done = loadfleet(site, "collect", "plain", "--missing", "--json", *settings)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"run_id": "plain", "collected": ["good"], "missing": {}}


@pytest.mark.parametrize("checked", [None, "False"])
def test_host_keys_are_checked_as_ansible_cfg_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checked: str | None
) -> None:
    """ansible-runner by itself would switch it off."""
    from loadfleet_aggregator.operate.playbook import Playbook

    if checked is None:
        monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    else:
        monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", checked)
    play = tmp_path / "project" / "play.yml"
    play.parent.mkdir()
    (play.parent / "plugins" / "callback").mkdir(parents=True)
    look = "{{ lookup('ansible.builtin.env', 'ANSIBLE_HOST_KEY_CHECKING') }}"
    task = {"ansible.builtin.debug": {"msg": f"it is <{look}>"}}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    playbook = Playbook(play.parent, "play.yml", [], tmp_path / "artifacts" / "one")
    playbook.start()
    while playbook.is_alive:
        list(playbook.events(0.5))
    playbook.finish()
    assert playbook.returncode == 0, playbook.error + playbook.output
    assert f"it is <{checked or ''}>" in playbook.output
