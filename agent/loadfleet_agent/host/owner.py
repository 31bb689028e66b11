"""The user to whom the data folder belongs, and as whom root does what needs no root.

It is who owns ``runs``: on a provisioned host the system user loadfleet, made by the Ansible role
agent; whoever runs the agent by hand elsewhere. What stands below ``runs`` and ``cache`` was
written by that user, so root never opens a name there with root's rights: it could be a link.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """A user of this host."""

    uid: int
    gid: int


def other_owner(home: Path) -> Owner | None:
    """Whom root would become for this data folder; None: nobody, or we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        found = (home / "runs").stat()
    except FileNotFoundError:
        return None
    return Owner(found.st_uid, found.st_gid) if found.st_uid != 0 else None


@contextlib.contextmanager
def as_owner(home: Path) -> Iterator[None]:
    """Files are opened, made and removed as the owner within the block. For one thread alone."""
    owner = other_owner(home)
    if owner is None:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups(_groups(owner))
    os.setegid(owner.gid)
    os.seteuid(owner.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def become_owner(home: Path) -> None:
    """The rest of this process is the owner's; there is no way back."""
    owner = other_owner(home)
    if owner is None:
        return
    os.setgroups(_groups(owner))
    os.setgid(owner.gid)
    os.setuid(owner.uid)
    # Libraries keep their caches below HOME; root's would be refused.
    os.environ["HOME"] = str(home / "cache")


def give_to_owner(home: Path, path: Path) -> None:
    """Hands over a file or folder that root has made in a folder of root's."""
    if owner := other_owner(home):
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _groups(owner: Owner) -> list[int]:
    try:
        name = pwd.getpwuid(owner.uid).pw_name
    except KeyError:
        return [owner.gid]
    return os.getgrouplist(name, owner.gid)
