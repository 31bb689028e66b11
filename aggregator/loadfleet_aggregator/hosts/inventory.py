"""The hosts of an inventory and how each is reached, as Ansible itself resolves it.

``ansible-inventory --list`` gives variables as they are written, templates and all; so a play of
ours (playbooks/hosts.yml) tells them resolved. With it come for nothing: host patterns and
``--limit``, vaults, ansible.cfg, ``-e``, variables beside the playbook, ``loadfleet_hosts``.

Usage::

    fleet = read_fleet(Selection(inventory=("inventory/",), limit="gpu-01,gpu-02"), Path())
    for host in fleet.hosts: ...
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loadfleet_agent.contract.base import Frozen
from pydantic import Field, SecretStr, ValidationError

from ..fleet.settings import FleetSettings, InventoryError

HOSTS_PLAYBOOK = "playbooks/hosts.yml"
ERROR = r"\[ERROR\]: |ERROR! |fatal: |ansible-playbook: error: "
LIMIT_S = 300.0
"""Of one reading: a dynamic inventory may ask a cloud."""


class Selection(Frozen):
    """Which hosts, as a user says it to any command of Ansible's."""

    inventory: tuple[str, ...] = Field(default=(), description="-i; none: as ansible.cfg says")
    limit: str | None = Field(default=None, description="--limit")
    extra_vars: tuple[str, ...] = Field(default=(), description="-e, each as it was given")
    vault_password_file: str | None = None
    more: tuple[str, ...] = Field(default=(), description="further options, as they were given")

    @property
    def arguments(self) -> list[str]:
        """The same for a command line of Ansible's."""
        given = [("--inventory", path) for path in self.inventory]
        given += [("--extra-vars", text) for text in self.extra_vars]
        if self.limit is not None:
            given.append(("--limit", self.limit))
        if self.vault_password_file is not None:
            given.append(("--vault-password-file", self.vault_password_file))
        return [*(word for pair in given for word in pair), *self.more]


def selection_of(arguments: Sequence[str]) -> Selection:
    """The hosts that these arguments of ansible-playbook select.

    What says which tasks are run, and how loudly, is left out.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in (("-t", "--tags"), ("--skip-tags",), ("--start-at-task",), ("-f", "--forks")):
        parser.add_argument(*option)
    for option in (("-C", "--check"), ("-D", "--diff"), ("--flush-cache",)):
        parser.add_argument(*option, action="store_true")
    parser.add_argument("-v", "--verbose", action="count")
    _, left = parser.parse_known_args(list(arguments))
    return Selection(more=tuple(left))


class SshOptions(Frozen):
    """What Ansible gives to ``ssh`` for a host; ssh_config fills in the rest, as it does there."""

    address: str
    user: str | None = None
    port: int | None = None
    key_file: str | None = None
    password: SecretStr | None = None
    first_arguments: str = Field(default="", description="ssh_args, as for a shell")
    last_arguments: str = Field(
        default="", description="ssh_common_args and ssh_extra_args: a jump host, for one"
    )
    check_host_key: bool = True
    timeout_s: float = Field(default=10.0, gt=0, description="for a new connection")


class Become(Frozen):
    """As whom Ansible works on a host."""

    method: str = "sudo"
    user: str = "root"
    password: SecretStr | None = None


class FleetHost(Frozen):
    """A host of the inventory."""

    name: str = Field(description="the inventory's name of it")
    connection: str = Field(description="as Ansible names it: ssh, local or another")
    ssh: SshOptions | None = Field(default=None, description="with connection ssh")
    become: Become | None = Field(default=None, description="None: as the user that logs in")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="its loadfleet_* variables, without that prefix"
    )

    @property
    def home(self) -> str:
        """The agent's data folder on the host."""
        return str(self.settings.get("home") or FleetSettings.model_fields["home"].default)


class Fleet(Frozen):
    """The hosts that were selected, in the inventory's order; at least one."""

    hosts: tuple[FleetHost, ...]
    results: Path = Field(description="folder of the runs on the controller")
    reports: Path = Field(description="folder with the newest report")


def read_fleet(selection: Selection, project: Path) -> Fleet:
    """The hosts of the inventory; touches none of them.

    ``project``: the folder with ansible.cfg and playbooks/. Raises InventoryError, on one line,
    where the inventory, the limit or a setting is wrong.
    """
    project = require_project(project)
    with TemporaryDirectory(prefix="loadfleet-hosts-") as folder:
        path = Path(folder) / "hosts.json"
        command = [ansible_command("ansible-playbook"), str(project / HOSTS_PLAYBOOK)]
        try:
            done = subprocess.run(
                [*command, *selection.arguments],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=LIMIT_S,
                env=ansible_environment(project) | {"LOADFLEET_HOSTS_FILE": str(path)},
            )
        except subprocess.TimeoutExpired as error:
            raise InventoryError(f"the inventory was not read in {LIMIT_S:.0f} s") from error
        if not path.is_file():
            raise InventoryError(_refusal(f"{done.stderr}\n{done.stdout}", selection))
        told = json.loads(path.read_bytes())
    try:
        hosts = tuple(FleetHost.model_validate(host) for host in told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InventoryError(f"inventory: {where}: {first['msg']}") from error
    settings = hosts[0].settings
    return Fleet(
        hosts=hosts,
        results=project / _folder(settings, "results_dir"),
        reports=project / _folder(settings, "reports_dir"),
    )


def _folder(settings: dict[str, Any], key: str) -> str:
    return str(settings.get(key) or FleetSettings.model_fields[key].default)


def require_project(project: Path) -> Path:
    """The folder, whole. Raises InventoryError if it is not loadfleet's."""
    project = project.resolve()
    if not (project / HOSTS_PLAYBOOK).is_file():
        raise InventoryError(
            f"{project}: no {HOSTS_PLAYBOOK} there: go to loadfleet's folder, or name it with "
            "--project"
        )
    return project


def ansible_command(name: str) -> str:
    """Ansible's own command beside this Python, else the one of that name on the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else name


def ansible_environment(project: Path) -> dict[str, str]:
    """For a command of Ansible's in the project: its ansible.cfg, unless another is asked for."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return (
        {"ANSIBLE_CONFIG": str(project / "ansible.cfg")}
        | os.environ
        | {
            "PATH": path,
            "ANSIBLE_NOCOLOR": "1",
        }
    )


def _refusal(output: str, selection: Selection) -> str:
    if re.search(r"no hosts to target|no hosts matched", " ".join(output.split())):
        limit = f"--limit {selection.limit}" if selection.limit is not None else "the inventory"
        return f"{limit}: no such host; ansible-inventory --graph shows all"
    return first_error(output)


def first_error(output: str) -> str:
    """The first error that Ansible printed, on one line; it breaks lines at 79 letters."""
    lines = output.splitlines()
    start = next((n for n, line in enumerate(lines) if re.match(ERROR, line)), None)
    if start is None:
        said = [line.strip() for line in lines if line.strip()]
        return f"ansible-playbook: {said[-1] if said else 'it said nothing'}"
    taken = [lines[start]]
    for line in lines[start + 1 :]:
        if not line.strip() or line.startswith("["):
            break
        taken.append(line)
    text = " ".join(" ".join(taken).split())
    return re.sub(r"^\[ERROR\]: |^ERROR! ", "", text)[:600]


def ssh_command(options: SshOptions) -> list[str]:
    """The words up to the host's address that Ansible gives to ``ssh`` (connection/ssh.py).

    In its order: of two values for one option ssh takes the first.
    """
    command = ["ssh", *shlex.split(options.first_arguments)]
    if not options.check_host_key:
        command += ["-o", "StrictHostKeyChecking=no"]
    if options.port is not None:
        command += ["-o", f"Port={options.port}"]
    if options.key_file is not None:
        command += ["-o", f'IdentityFile="{options.key_file}"']
    if options.user is not None:
        command += ["-o", f'User="{options.user}"']
    command += ["-o", f"ConnectTimeout={options.timeout_s:.0f}"]
    return [*command, *shlex.split(options.last_arguments), "--", options.address]
