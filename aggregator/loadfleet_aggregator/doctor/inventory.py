"""Checks of the controller that an inventory decides: settings, forks, room, keys, token."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from loadfleet_agent.contract.estimate import estimate_run

from ..fleet.record import newest_run
from ..fleet.settings import FleetSettings
from ..text.listing import count_of, some
from .answers import Answers, HostPlan
from .ask import NoAnswer
from .catalogue import make_check
from .controller import free_gib
from .model import Check, Severity

SPARE_GIB = 1.0
"""Room for reports and archives beside what is collected of the hosts."""
WATCHED = "a host without a worker is not watched, and the others wait for it"


def check_no_answer(answer: NoAnswer) -> list[Check]:
    """Where ansible-playbook could not even begin."""
    return [
        make_check("inventory", Severity.ERROR, answer.reason,
                   "mend the file that is named; ansible-inventory --list shows what is read")
    ]  # fmt: skip


def check_inventory(answers: Answers) -> list[Check]:
    told = answers.inventory.contradictions
    if told.hosts is None:
        return [make_check("inventory", Severity.ERROR, told.text, "mend the inventory")]
    findings = [line for lines in told.hosts.values() for line in lines]
    return [
        make_check("inventory", Severity.ERROR, line, "mend it in the inventory")
        for line in findings
    ] or [make_check("inventory", Severity.OK, f"{count_of(len(answers.hosts), 'host')}")]


def check_settings(answers: Answers) -> list[Check]:
    """By plan_run's own words, a check for each line of them."""
    plan = answers.inventory.plan
    if plan.run_id is None:
        lines = str(plan.msg).splitlines() or ["no run could be planned"]
        return [
            make_check("settings", Severity.ERROR, line.removeprefix("Task failed: "),
                       "mend the setting that is named (docs/settings.md)")
            for line in lines
        ]  # fmt: skip
    what = "goes on with run" if plan.continued else "begins a new run, as"
    return [
        make_check("settings", Severity.OK, f"run_benchmark.yml {what} {plan.run_id}"),
    ]


def check_forks(answers: Answers) -> list[Check]:
    hosts = len(answers.hosts)
    if answers.forks < hosts:
        return [
            make_check("forks", Severity.WARNING,
                       f"{answers.forks} forks for {hosts} hosts: {WATCHED}",
                       f"forks = {hosts} in ansible.cfg, or --forks {hosts}")
        ]  # fmt: skip
    return [make_check("forks", Severity.OK, f"{answers.forks} for {count_of(hosts, 'host')}")]


def check_results(project: Path, answers: Answers) -> list[Check]:
    """Room for what the hosts' runs leave, once in the archive and once unpacked."""
    results = results_folder(project, answers)
    plans = [host.plan for host in answers.hosts.values() if host.plan is not None]
    needed = SPARE_GIB + 2 * sum(run_gib(plan) for plan in plans)
    parent = results
    while not parent.exists():
        parent = parent.parent
    if not os.access(parent, os.W_OK):
        return [
            make_check("results", Severity.ERROR, f"{results} cannot be written to",
                       "let this user write there, or set loadfleet_results_dir")
        ]  # fmt: skip
    free = free_gib(results)
    if free < needed:
        return [
            make_check("results", Severity.ERROR,
                       f"{free:.1f} GiB free at {results}, the planned run takes {needed:.1f}",
                       "free some, or set loadfleet_results_dir to a larger disk")
        ]  # fmt: skip
    return [make_check("results", Severity.OK, f"{free:.0f} GiB free at {results}")]


def run_gib(plan: HostPlan) -> float:
    """Of the run's folder on its host, as the plan's estimate has it."""
    return estimate_run(plan.plan).disk_bytes / (1 << 30)


def results_folder(project: Path, answers: Answers) -> Path:
    usual = str(FleetSettings.model_fields["results_dir"].default)
    plans = [host.plan for host in answers.hosts.values() if host.plan is not None]
    return project / (plans[0].fleet.results_dir if plans else usual)


def check_report(project: Path, answers: Answers) -> list[Check]:
    """Of the newest run; the run may have none yet."""
    results = results_folder(project, answers)
    newest = newest_run(results)
    if newest is None:
        return [make_check("report", Severity.SKIPPED, f"no run in {results} yet")]
    folder = results / newest.run_id
    if not (folder / "report.json").is_file():
        return [make_check("report", Severity.SKIPPED, f"run {newest.run_id} has none yet")]
    from ..report.read import ReportUnreadable, open_report

    try:
        report = open_report(folder / "report.json")
    except ReportUnreadable as error:
        return [make_check("report", Severity.WARNING, str(error), f"loadfleet report {folder}")]
    return [make_check("report", Severity.OK, f"{newest.run_id}: {report.headline}")]


def check_ssh(answers: Answers) -> list[Check]:
    remote = [name for name, host in answers.hosts.items() if host.connection != "local"]
    if not remote:
        return [make_check("ssh", Severity.SKIPPED, "all hosts are this machine")]
    if shutil.which("ssh") is None:
        return [
            make_check("ssh", Severity.ERROR, "no ssh client", "apt-get install openssh-client")
        ]
    files = {
        host.key_file: name for name, host in answers.hosts.items() if host.key_file is not None
    }
    absent = [
        make_check("ssh", Severity.ERROR, f"key file {path} of {name} is not there",
                   "mend ansible_ssh_private_key_file in the inventory")
        for path, name in files.items()
        if not Path(path).expanduser().is_file()
    ]  # fmt: skip
    if absent or files:
        return absent or [make_check("ssh", Severity.OK, f"key files: {some(list(files))}")]
    keys = list(_keys())
    if not keys:
        return [
            make_check("ssh", Severity.WARNING,
                       "no key: the agent of ssh has none, nor has ~/.ssh",
                       "ssh-add a key, name one in ansible_ssh_private_key_file, or give Ansible a "
                       "password")
        ]  # fmt: skip
    return [make_check("ssh", Severity.OK, f"keys: {some(keys)}")]


def _keys() -> Iterator[str]:
    """Of the agent, then files of the usual names."""
    try:
        done = subprocess.run(
            ["ssh-add", "-l"], capture_output=True, text=True, timeout=10, check=False
        )
        if done.returncode == 0:
            yield f"{count_of(len(done.stdout.splitlines()), 'key')} of the agent"
    except (OSError, subprocess.TimeoutExpired):
        pass
    for path in sorted((Path.home() / ".ssh").glob("id_*")):
        if path.suffix != ".pub":
            yield path.name


def check_token(answers: Answers, *, online: bool, remote: bool) -> list[Check]:
    """Never the token itself; ``hub`` of a host is the controller's where no host was asked."""
    hosts = {
        name: host
        for name, host in answers.hosts.items()
        if host.plan is not None and host.plan.plan.model.source == "hub"
    }
    if not hosts:
        unknown = any(host.plan is None for host in answers.hosts.values())
        why = "the settings are wrong" if unknown else "no host has a model of the hub"
        return [make_check("token", Severity.SKIPPED, why)]
    if online and not remote:
        refused = {
            host.hub.text: name
            for name, host in hosts.items()
            if host.hub is not None and host.hub.access is None
        }
        if refused:
            return [
                make_check("token", Severity.ERROR, f"{reason} (host {name})",
                           "do what is said, then ask again")
                for reason, name in refused.items()
            ]  # fmt: skip
    unread = {
        host.token.text for host in hosts.values() if host.token and host.token.stored is None
    }
    if unread:
        return [
            make_check("token", Severity.ERROR, f"the token cannot be read: {text}",
                       "mend hf_auth_token or hf_auth_token_file")
            for text in sorted(unread)
        ]  # fmt: skip
    without = [name for name, host in hosts.items() if not (host.token and host.token.stored)]
    if without:
        return [
            make_check("token", Severity.WARNING, f"no token is set for {some(without)}",
                       "export HF_TOKEN, or set hf_auth_token (docs/provisioning.md); none is "
                       "needed for a public model, or where the hosts have the model")
        ]  # fmt: skip
    proved = " and reads the model" if online and not remote else ""
    return [make_check("token", Severity.OK, f"a token is set{proved}")]
