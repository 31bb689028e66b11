"""The hosts as a user names them on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loadfleet_agent.contract.base import NAME_PATTERN, Frozen, Name

LOCAL = ("localhost", "127.0.0.1", "::1")
FORM = re.compile(r"(?:(?P<name>[^=@]+)=)?(?:(?P<user>[^@=]+)@)?(?P<address>.+)")
IPV4 = re.compile(r"\d+(\.\d+){3}")


class TargetError(ValueError):
    """A word is no host; the text says which, and how one is given."""


class Target(Frozen):
    """A host that is to be in the inventory."""

    name: Name
    address: str
    user: str | None = None
    port: int | None = None
    local: bool = False


def parse_targets(
    words: Sequence[str], *, user: str | None = None, port: int | None = None
) -> tuple[Target, ...]:
    """``[NAME=][USER@]ADDRESS[:PORT]`` each, where ADDRESS and NAME may have ranges as [01:08].

    ``user`` and ``port`` hold for those that name none. A host without a name is called by its
    address's first label, or gpu-01 and so on where that is a number. Raises TargetError.
    """
    from ansible.plugins.inventory import detect_range, expand_hostname_range

    given: list[Target] = []
    for word in words:
        try:
            expanded = expand_hostname_range(word) if detect_range(word) else [word]
        except Exception as error:  # Ansible's own AnsibleError
            raise TargetError(f"{word}: {error}") from error
        for text in expanded:
            given.append(_parse(text, len(given) + 1, user, port))
    names = [target.name for target in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TargetError(f"{twice[0]}: two hosts of that name; give NAME=ADDRESS")
    return tuple(given)


def _parse(text: str, number: int, user: str | None, port: int | None) -> Target:
    match = FORM.fullmatch(text)
    if match is None or any(letter.isspace() for letter in text):
        raise TargetError(f"{text!r}: give a host as [NAME=][USER@]ADDRESS[:PORT]")
    address, own_port = _split_port(match["address"], text)
    is_number = IPV4.fullmatch(address) or ":" in address
    name = match["name"] or (f"gpu-{number:02d}" if is_number else address.split(".")[0])
    if not re.fullmatch(NAME_PATTERN, name):
        raise TargetError(f"{text}: {name!r} is no name of a host; give NAME=ADDRESS")
    own_user, own_port = match["user"] or user, own_port or port
    local = address in LOCAL and own_user is None and own_port is None
    return Target(name=name, address=address, user=own_user, port=own_port, local=local)


def _split_port(address: str, text: str) -> tuple[str, int | None]:
    """An IPv6 address has a port only after brackets, as in [::1]:22."""
    if bracketed := re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::(\d+))?", address):
        host, port = bracketed[1], bracketed[2]
    elif address.count(":") == 1:
        host, port = address.split(":")
    else:
        host, port = address, None
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:_%-]*|::1", host):
        raise TargetError(f"{text}: {host!r} is no address")
    if port is None:
        return host, None
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise TargetError(f"{text}: {port!r} is no port")
    return host, int(port)
