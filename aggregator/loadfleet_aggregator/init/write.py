"""The inventory as text, and onto the disk: whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from loadfleet_agent.contract.base import Frozen

from ..text.terminal import printable
from .model import HostGroup, SeenHost
from .targets import Target

HOSTS_FILE = "hosts.yml"
SETTINGS_FILE = "group_vars/all.yml"
USUAL_GROUP = "gpu_hosts"


class Connection(Frozen):
    """How all the hosts are reached."""

    user: str | None = None
    port: int | None = None
    key: str | None = None
    jump: str | None = None
    become: bool = True


def render_hosts(
    targets: Sequence[Target],
    connection: Connection,
    seen: Sequence[SeenHost],
    groups: Sequence[HostGroup],
) -> str:
    """hosts.yml. With more than one kind of GPU a group for each, below ``gpu_hosts``."""
    by_name = {host.name: host for host in seen}
    lines = {target.name: _host_line(target, connection, by_name) for target in targets}
    split = groups if len(groups) > 1 else ()
    grouped = {name for group in split for name in group.hosts}
    return (
        _environment()
        .get_template("hosts.yml.j2")
        .render(
            usual=USUAL_GROUP,
            lines=lines,
            alone=[target.name for target in targets if target.name not in grouped],
            groups=split,
            variables=_variables(connection),
        )
    )


def render_settings(values: Mapping[str, Any], comments: Mapping[str, Sequence[str]]) -> str:
    """group_vars/all.yml: settings, each after its comments."""
    blocks = [
        "".join(f"# {printable(line)}\n" for line in comments.get(key, ()))
        + f"{key}: {_flow(value)}\n"
        for key, value in values.items()
    ]
    head = (
        "---\n# Settings of this fleet, written by loadfleet init. docs/settings.md has all of "
        "them.\n"
    )
    return head + "".join(blocks)


def _host_line(
    target: Target, connection: Connection, seen: Mapping[str, SeenHost]
) -> dict[str, Any]:
    """The host's variables as YAML, and comments above it."""
    variables: dict[str, Any] = {}
    if target.local:
        variables["ansible_connection"] = "local"
        variables["ansible_python_interpreter"] = "{{ ansible_playbook_python }}"
    else:
        if target.address != target.name:
            variables["ansible_host"] = target.address
        if target.port is not None and target.port != connection.port:
            variables["ansible_port"] = target.port
        if target.user is not None and target.user != connection.user:
            variables["ansible_user"] = target.user
    host = seen.get(target.name)
    return {"variables": _flow(variables), "comments": _comments(host) if host else []}


def _comments(host: SeenHost) -> list[str]:
    if not host.scanned:
        return []
    found = []
    if host.reason:
        found.append(printable(host.reason))
    if host.reached:
        gpus: dict[str, int] = {}
        for gpu in host.gpus:
            gpus[str(gpu)] = gpus.get(str(gpu), 0) + 1
        parts = [f"{number} x {name}" for name, number in gpus.items()]
        parts.append(f"driver {host.driver}" if host.driver else "no driver yet")
        if host.system:
            parts.append(host.system)
        found.append(printable(", ".join(parts)))
    return found


def _variables(connection: Connection) -> dict[str, str]:
    """Connection variables of all hosts, as YAML."""
    values: dict[str, Any] = {}
    if connection.user is not None:
        values["ansible_user"] = connection.user
    if connection.port is not None:
        values["ansible_port"] = connection.port
    if connection.key is not None:
        values["ansible_ssh_private_key_file"] = connection.key
    if connection.jump is not None:
        values["ansible_ssh_common_args"] = f"-o ProxyJump={connection.jump}"
    if connection.become:
        values["ansible_become"] = True
    return {key: _flow(value) for key, value in values.items()}


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def _environment() -> Environment:
    """Of YAML: what comes from hosts is made printable, and stands in comments alone."""
    made = Environment(
        loader=PackageLoader("loadfleet_aggregator.init"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["printable"] = printable
    return made


def existing(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Those of the files that are there already."""
    return [folder / name for name in files if (folder / name).exists()]


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Writes name to text below the folder; returns the copies of what was there before.

    All texts are on the disk before the first takes its place. Where that fails half-way, the
    places are put back as they were. Raises OSError.
    """
    fresh = {folder / name: _beside(folder / name, ".new") for name in files}
    kept: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        for (path, beside), text in zip(fresh.items(), files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
        for path in fresh:
            if path.exists():
                kept[path] = _free_name(path)
                shutil.copy2(path, kept[path])
        for path, beside in fresh.items():
            beside.replace(path)
            placed.append(path)
    except OSError:
        for path in placed:
            if path in kept:
                kept.pop(path).replace(path)
            else:
                path.unlink(missing_ok=True)
        for leftover in (*fresh.values(), *kept.values()):
            leftover.unlink(missing_ok=True)
        raise
    return list(kept.values())


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}{suffix}")


def _free_name(path: Path) -> Path:
    """hosts.yml.bak, then hosts.yml.2.bak: an earlier copy stays. Ansible reads no .bak."""
    candidate, number = path.with_name(f"{path.name}.bak"), 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}.{number}.bak")
        number += 1
    return candidate
