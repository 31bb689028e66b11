"""The rows of docs/reliability.md: what each test breaks, and what it holds the product to.

What a user sees stands here in the words that the test looks for in the playbook's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fault_site import Run

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the table of the fault suite: make reliability -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One fault. ``sees``: parts of the output, each word for word; ``proof`` is of the fault."""

    fault: str
    proof: str
    sees: tuple[str, ...]
    kept: str


class Record:
    """What a test has shown of its row; a test that leaves something out fails."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self._shown: set[str] = set()

    def happened(self, proof: object) -> None:
        """The fault did happen: before anything is said of how it was survived."""
        assert proof, f"not shown: {self.row.proof}"
        self._shown.add("happened")

    def sees(self, output: str) -> None:
        """The user is told, in the words of the row."""
        for words in self.row.sees:
            assert words in output, f"{words!r} is not in:\n{output[-6000:]}"
        self._shown.add("sees")

    def completes(self, run: Run, before: dict[str, dict[str, str]], *arguments: str) -> str:
        """The same command once more ends with every host ok; its output.

        ``before``: host to its finished phases when the fault came. Each is there as it was, was
        started once, and is in what was collected; and no host has a process left.
        """
        ended = run.again(*arguments)
        assert ended.returncode == 0, ended.output[-6000:]
        self.is_complete(run, before)
        return ended.output

    def is_complete(self, run: Run, before: dict[str, dict[str, str]]) -> None:
        """The same of a run that has ended already."""
        verdicts = {host["name"]: host["verdict"]["kind"] for host in run.report["hosts"]}
        assert verdicts == dict.fromkeys(run.hosts, "ok")
        for host in run.hosts:
            kept = before.get(host, {})
            now = run.finished(host)
            assert {name: now.get(name) for name in kept} == kept
            started = run.times_started(host)
            assert {name: started[name] for name in kept} == dict.fromkeys(kept, 1)
            run.collected_whole(host)
            assert run.is_idle(host)
        self._shown.add("completes")

    def require_complete(self) -> None:
        missing = {"happened", "sees", "completes"} - self._shown
        assert not missing, f"the test did not show: {', '.join(sorted(missing))}"


ROWS: dict[str, Row] = {
    "test_a_cable_that_is_cut_for_a_minute_in_any_phase": Row(
        "The cable of a host is cut for 60 s, in each phase: prepare, load, Offline, Server, score",
        "the link is down and a login fails",
        ("link lost, trying again",),
        "everything: the host works on without the controller, and is watched again",
    ),
    "test_a_cable_that_is_cut_before_the_run_has_begun": Row(
        "The cable of a host is cut while Ansible prepares it",
        "the link is down and a login fails",
        ("h1: unreachable: prepare: ", "h2: ok"),
        "the other host's run",
    ),
    "test_sshd_that_is_killed": Row(
        "sshd and its sessions are killed",
        "systemd: killed by signal 9; the port refuses",
        ("link lost, trying again", "h1: ok"),
        "everything: the host works on",
    ),
    "test_a_slow_and_a_distant_link_while_collecting": Row(
        "A link of 512 kbit/s, and one with a round trip of 200 ms, while files are collected",
        "the kernel's queue of 512 kbit/s; ping takes 200 ms",
        ("h1: ok", "h2: ok"),
        "everything",
    ),
    "test_a_host_that_is_rebooted": Row(
        "A host is rebooted under load",
        "another boot id",
        (
            "h1: failed at server-performance because "
            "stopped as the host was shut down or rebooted",
            "h2: ok",
        ),
        "its finished phases; the other host's run",
    ),
    "test_a_host_that_loses_its_power_and_comes_back": Row(
        "A host loses its power under load and boots again",
        "another boot id",
        ("h1: failed at server-performance because ", "rebooted during server-performance"),
        "its finished phases",
    ),
    "test_a_host_that_is_powered_off": Row(
        "A host is powered off under load and stays off",
        "no process of it is left",
        ("h1: unreachable: wait: lost: unreachable for ", "h2: ok"),
        "its finished phases; the other host's run",
    ),
    "test_a_clock_that_is_stepped_by_an_hour": Row(
        "The clock is set an hour ahead, or back, under load",
        "the time in the agent's status",
        ("h1: failed at server-performance because the host's clock was set 3,600 s ",),
        "its finished phases; the one that LoadGen measured by that clock is not one of them",
    ),
    "test_an_agent_that_is_killed": Row(
        "The agent is killed with -9",
        "systemd: killed by signal 9",
        (
            "h1: failed at server-performance because ",
            "the agent is gone without a result, during server-performance",
        ),
        "its finished phases; the engine has ended with it",
    ),
    "test_an_engine_that_is_killed": Row(
        "The engine's process is killed with -9",
        "the process is gone, the agent is not",
        (
            "h1: failed at server-performance because the engine's process was ended by SIGKILL",
            "h2: ok",
        ),
        "its finished phases; the other host's run",
    ),
    "test_an_engine_that_hangs": Row(
        "The engine hangs",
        "its process is stopped (state T)",
        ("h1: failed at server-performance because no progress in phase server-performance for ",),
        "its finished phases",
    ),
    "test_a_disk_that_fills_up_while_loadgen_writes": Row(
        "The host's disk is full while LoadGen writes",
        "ENOSPC",
        ("h1: failed at server-performance because ", "No space left on device"),
        "its finished phases",
    ),
    "test_a_host_that_runs_out_of_memory": Row(
        "A host runs out of memory",
        "the kernel's count of such kills",
        ("h1: failed at server-performance because the host ran out of memory",),
        "its finished phases",
    ),
    "test_an_ansible_playbook_that_is_killed": Row(
        "ansible-playbook is killed with -9",
        "its exit status",
        ("h1: ok", "h2: ok"),
        "everything: the same command watches the agents that went on",
    ),
    "test_two_operators_who_start_at_once": Row(
        "Two operators give the command at once",
        "both run",
        ("h1: ok", "h2: ok"),
        "everything: one run, which both watch",
    ),
    "test_an_operator_elsewhere_who_starts_meanwhile": Row(
        "Another operator, with results of his own, starts on a host at work",
        "his command fails",
        ("h1: failed at start because busy: run mine, phase server-performance, since ",),
        "everything: his command works when the host is free",
    ),
    "test_the_same_run_with_another_plan": Row(
        "The same run id with another plan, here and from another controller",
        "both commands fail",
        (
            "was planned otherwise for host h1 (differs in length.samples)",
            "run plan was planned otherwise on this host (differs in length.samples)",
        ),
        "everything",
    ),
    "test_a_collection_that_is_interrupted_half_way": Row(
        "The controller's processes are killed as a part of a host's files has come",
        "their exit status; the host has sent a part of the archive, which is not there",
        ("h1: ok",),
        "everything: what came is not taken for a result",
    ),
    "test_a_controller_whose_disk_is_full": Row(
        "The controller's disk is full",
        "ENOSPC",
        ("No space left on device",),
        "everything that the hosts have",
    ),
}


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| fault | how it is proved | the user sees | what is kept |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        sees = "<br>".join(f"`{words.strip()}`" for words in row.sees)
        lines.append(f"| {row.fault} | {row.proof} | {sees} | {row.kept} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(list(ROWS.values()))}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
