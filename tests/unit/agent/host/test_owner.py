"""Root works as who owns the data folder, and is led nowhere by that user's links."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from loadfleet_agent.host.owner import as_owner, other_owner
from loadfleet_agent.pack import pack_run

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder of root's, whose runs are another user's, who reaches them."""
    home = tmp_path / "home"
    (home / "runs" / "r1").mkdir(parents=True)
    for part in (tmp_path, *tmp_path.parents):
        if part.stat().st_uid == os.geteuid() and part != Path("/"):
            part.chmod(part.stat().st_mode | 0o011)
    for path in (home / "runs", home / "runs" / "r1"):
        os.chown(path, NOBODY, NOBODY)
    return home


def test_nobody_becomes_anyone_for_a_folder_of_his_own(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert other_owner(tmp_path) is None
    with as_owner(tmp_path):
        (tmp_path / "runs" / "new").touch()
    assert (tmp_path / "runs" / "new").stat().st_uid == os.geteuid()


@needs_root
def test_what_root_makes_is_the_owners(home: Path) -> None:
    with as_owner(home):
        (home / "runs" / "r1" / "new").touch()
        with pytest.raises(PermissionError):
            (home / "new").touch()
    assert (home / "runs" / "r1" / "new").stat().st_uid == NOBODY
    (home / "new").touch()
    assert (home / "new").stat().st_uid == 0


@needs_root
def test_an_archive_holds_no_file_that_the_owner_cannot_read(home: Path) -> None:
    """Also one that was a plain file a moment ago, as a hard link is for good."""
    secret = home / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    run = home / "runs" / "r1"
    os.link(secret, run / "result.json")
    with pytest.raises(PermissionError):
        pack_run(run, home / "run.tar.gz", accuracy_logs=True)
    (run / "result.json").unlink()
    (run / "status.json").write_text("{}")
    os.chown(run / "status.json", NOBODY, NOBODY)
    pack_run(run, home / "run.tar.gz", accuracy_logs=True)
    assert (home / "run.tar.gz").stat().st_uid == 0
    with tarfile.open(home / "run.tar.gz") as archive:
        assert archive.getnames() == ["status.json"]


@needs_root
def test_a_command_that_became_the_owner_cannot_go_back(home: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from loadfleet_agent.host.owner import become_owner\n"
        f"become_owner(Path({str(home)!r}))\n"
        "print(os.getresuid(), os.getresgid(), 0 in os.getgroups(), os.environ['HOME'])\n"
        "try: os.setuid(0)\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    one = (NOBODY,) * 3
    assert done.stdout.splitlines() == [f"{one} {one} False {home}/cache", "refused"]
