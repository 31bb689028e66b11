"""Where SSH leads: ssh_config, jump hosts and known host keys, by OpenSSH's own word.

paramiko reads neither ``Include`` nor ``Match`` nor patterns in known_hosts. ``ssh -G`` and
``ssh-keygen -F`` do, and Ansible connects with the same ``ssh``.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .inventory import SshOptions, ssh_command

LIMIT_S = 20.0
SSH_PORT = 22
ANY_KEY = frozenset({"no", "off", "false"})


class RouteError(RuntimeError):
    """OpenSSH does not take the options; one line."""


@dataclass(frozen=True)
class KnownKey:
    """A line of known_hosts: type of the key and its base64 text."""

    kind: str
    text: str


@dataclass(frozen=True)
class Route:
    """All that is needed to connect."""

    address: str
    port: int
    user: str
    key_files: tuple[str, ...]
    """Private keys that are there, in the order in which they are tried."""
    only_these_keys: bool
    """None of an agent's besides."""
    proxy: str | None
    """A command for a shell that leads to the host's port with its input and output; or None."""
    check_host_key: bool
    known_keys: tuple[KnownKey, ...]
    """Of the host; empty: it is not known."""
    known_hosts: tuple[str, ...]
    """The files that were looked into."""


def find_route(options: SshOptions) -> Route:
    """What ``ssh`` would do with a host. Raises RouteError."""
    command = ssh_command(options)
    answer = _ask([command[0], "-G", *command[1:]])
    told: dict[str, list[str]] = {}
    for line in answer.splitlines():
        key, _, value = line.partition(" ")
        told.setdefault(key, []).append(value)
    address, port = _one(told, "hostname", options.address), int(_one(told, "port", "22"))
    user = _one(told, "user", "")
    # Each of these lines may hold several files.
    known_hosts = tuple(
        str(Path(path).expanduser())
        for key in ("userknownhostsfile", "globalknownhostsfile")
        for line in told.get(key, [])
        for path in shlex.split(line)
        if path not in ("none", "/dev/null")
    )
    alias = _one(told, "hostkeyalias", "none")
    name = address if port == SSH_PORT else f"[{address}]:{port}"
    check = _one(told, "stricthostkeychecking", "ask") not in ANY_KEY
    return Route(
        address=address,
        port=port,
        user=user,
        key_files=tuple(_key_files(told, address, user)),
        only_these_keys=_one(told, "identitiesonly", "no") == "yes",
        proxy=_proxy(told, options, address, port, user),
        check_host_key=check,
        known_keys=_known_keys(name if alias == "none" else alias, known_hosts) if check else (),
        known_hosts=known_hosts,
    )


def _one(told: Mapping[str, Sequence[str]], key: str, default: str) -> str:
    return told.get(key, [default])[0]


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise RouteError(f"{command[0]} is not there: install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise RouteError(f"{command[0]} gave no answer in {LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RouteError(f"ssh does not take its options: {lines[-1]}")
    return done.stdout


def _key_files(told: Mapping[str, Sequence[str]], address: str, user: str) -> list[str]:
    files = []
    for value in told.get("identityfile", []):
        text = value.replace("%h", address).replace("%r", user).replace("%d", str(Path.home()))
        path = Path(text).expanduser()
        if path.is_file():
            files.append(str(path))
    return files


def _proxy(
    told: Mapping[str, Sequence[str]], options: SshOptions, address: str, port: int, user: str
) -> str | None:
    """ProxyJump is what OpenSSH itself makes of it: an ssh to the jump host with -W."""
    if (command := _one(told, "proxycommand", "none")) != "none":
        return _expand(command, {"h": address, "n": options.address, "p": str(port), "r": user})
    if (jumps := _one(told, "proxyjump", "none")) == "none":
        return None
    *before, last = jumps.split(",")
    words = ["ssh", "-o", "BatchMode=yes", *_config_file(ssh_command(options))]
    words += ["-o", f"ConnectTimeout={options.timeout_s:.0f}"]
    if before:
        words += ["-J", ",".join(before)]
    # ssh takes [user@]host as it is, host:port only as a URI.
    target = last if last.startswith("ssh://") else f"ssh://{last}"
    return shlex.join([*words, "-W", f"[{address}]:{port}", "--", target])


def _config_file(command: Sequence[str]) -> list[str]:
    """The -F of a command line, which holds for the jump too."""
    for index, word in enumerate(command):
        if word == "-F" and index + 1 < len(command):
            return ["-F", command[index + 1]]
        if word.startswith("-F") and len(word) > 2:
            return [word]
    return []


def _expand(text: str, tokens: Mapping[str, str]) -> str:
    """Percent tokens of ssh_config(5)."""
    parts, rest = [], text
    while rest:
        before, found, rest = rest.partition("%")
        parts.append(before)
        if found:
            token, rest = rest[:1], rest[1:]
            parts.append("%" if token == "%" else tokens.get(token, f"%{token}"))
    return "".join(parts)


def _known_keys(name: str, files: Sequence[str]) -> tuple[KnownKey, ...]:
    """The host's keys in these files. One that is revoked is none; certificates are not read."""
    keys, revoked = [], set()
    for path in files:
        if not Path(path).is_file():
            continue
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", path],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
        for line in found.stdout.splitlines():
            words = line.split()
            if len(words) >= 4 and words[0] == "@revoked":
                revoked.add(words[3])
            elif len(words) >= 3 and not words[0].startswith(("#", "@")):
                keys.append(KnownKey(words[1], words[2]))
    return tuple(key for key in dict.fromkeys(keys) if key.text not in revoked)
