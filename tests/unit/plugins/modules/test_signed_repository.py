"""Fingerprints of keys, and what apt's many lines mean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ..helpers import load_plugin

signed_repository = load_plugin("signed_repository", "modules")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A key of gpg's own making, armored and binary, and its fingerprint as gpg says it."""
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)

    def gpg(*arguments: str) -> bytes:
        return subprocess.run(
            ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *arguments],
            capture_output=True, check=True,
        ).stdout  # fmt: skip

    gpg("--quick-generate-key", "test key", "rsa2048", "sign", "never")
    (home / "key.asc").write_bytes(gpg("--armor", "--export"))
    (home / "key.gpg").write_bytes(gpg("--export"))
    listed = gpg("--with-colons", "--list-keys").decode().splitlines()
    fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return home, fingerprint


@pytest.mark.parametrize("name", ["key.asc", "key.gpg"])
def test_reads_the_fingerprint_as_gpg_does(keys: tuple[Path, str], name: str) -> None:
    folder, fingerprint = keys
    assert signed_repository.fingerprints((folder / name).read_bytes()) == [fingerprint]


@pytest.mark.parametrize("text", [b"<html>404</html>", b"\x99\x01"])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(signed_repository.Refused):
        signed_repository.fingerprints(text)


@pytest.mark.parametrize(
    ("version", "wanted", "same"),
    [
        ("5:29.8.2-1~ubuntu.24.04~noble", "5:29.8.2-*", True),
        ("5:29.8.20-1~ubuntu.24.04~noble", "5:29.8.2-*", False),
        ("1.20.0-1", "1.20.0-1", True),
        ("1.20.0-1", "", True),
        ("1.19.0-1", "1.20.0-1", False),
        ("590.48.01-1", "580.*", False),
    ],
)
def test_compares_versions(version: str, wanted: str, same: bool) -> None:
    assert signed_repository.matches(version, wanted) is same


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("W: Failed to fetch x  Could not resolve 'mirror.example'", "its name is not resolved"),
        ("E: Failed to fetch x  404  Not Found [IP: 192.0.2.1 80]", "nothing there (404)"),
        ("W: GPG error: x NO_PUBKEY 8D81803C0EBFCD88", "it is not signed with this key"),
        ("Err:1 x Could not connect to 192.0.2.1:80 (192.0.2.1). - connect (111: Connection "
         "refused)", "connection refused"),
    ],
)  # fmt: skip
def test_says_the_cause_in_a_few_words(line: str, cause: str) -> None:
    assert signed_repository.explain(line) == cause
