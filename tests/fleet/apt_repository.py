"""A signed apt repository for tests: real keys, real indices, served over HTTP."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class AptRepository:
    """A folder that apt can install from, and the key that signs it; close it after use.

    Files that are added later appear in the indices, so that a test can publish an upgrade.
    Needs gpg, gpgconf and apt-ftparchive (packages gnupg and apt-utils).
    """

    def __init__(self, folder: Path, owner: str = "loadfleet test repository") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Not in the folder: gpg-agent's socket needs a short path, and a secret is not served.
        self._home = Path(tempfile.mkdtemp(prefix="apt-key-"))
        self._gpg("--passphrase", "", "--quick-generate-key", owner, "ed25519", "sign", "never")
        keys = self._gpg("--with-colons", "--list-keys")
        self.fingerprint = next(
            line.split(":")[9] for line in keys.splitlines() if line.startswith("fpr:")
        )
        """40 hexadecimal digits."""
        self.public_key = self._gpg("--armor", "--export", self.fingerprint)
        """ASCII-armoured."""

    def close(self) -> None:
        """Ends gpg's agent and removes the secret key; the repository stays as it is."""
        subprocess.run(["gpgconf", "--homedir", self._home, "--kill", "all"], check=True)
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish_key(self, path: str) -> None:
        """Puts the public key beside the packages, as ``gpg`` or ``8793F200.pub`` is elsewhere."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.public_key, encoding="ascii")

    def add_flat(self, path: str, debs: Iterable[Path]) -> None:
        """Packages in a folder without suites (``Suites: ./``), as NVIDIA's repositories are."""
        folder = self.folder / path
        _copy(debs, folder)
        _write_packages(folder, ".", folder)
        self._sign(folder, {"Origin": "NVIDIA stand-in", "Label": "NVIDIA stand-in"})

    def add_suite(self, path: str, suite: str, component: str, debs: Iterable[Path]) -> None:
        """Packages in a suite's component, as at download.docker.com."""
        folder = self.folder / path
        pool = f"dists/{suite}/pool/{component}/amd64"
        index = folder / "dists" / suite / component / "binary-amd64"
        _copy(debs, folder / pool)
        _write_packages(folder, pool, index)
        release = {
            "Origin": "Docker stand-in",
            "Suite": suite,
            "Codename": suite,
            "Components": component,
            "Architectures": "amd64",
        }
        self._sign(folder / "dists" / suite, release)

    @contextlib.contextmanager
    def serve(self, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """The repository's URL, without a slash at its end, while it is served."""
        handler = functools.partial(_Handler, directory=str(self.folder))
        with http.server.ThreadingHTTPServer((address, port), handler) as server:
            thread = threading.Thread(target=server.serve_forever, name="apt-repository")
            thread.start()
            try:
                yield f"http://{address}:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    def _gpg(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--yes", "--pinentry-mode", "loopback", *arguments]
        environment = os.environ | {"GNUPGHOME": str(self._home)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def _sign(self, folder: Path, fields: dict[str, str]) -> None:
        for old in ("Release", "Release.gpg", "InRelease"):
            (folder / old).unlink(missing_ok=True)  # none of them is listed in the new one
        options = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in fields.items()]
        release = subprocess.run(
            ["apt-ftparchive", *options, "release", "."],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        (folder / "Release").write_text(release, encoding="utf-8")
        path = str(folder / "Release")
        self._gpg("--clearsign", "--output", str(folder / "InRelease"), path)
        self._gpg("--armor", "--detach-sign", "--output", f"{path}.gpg", path)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def send_head(self) -> Any:
        """Always the whole file: times of one second hide what was published just after."""
        del self.headers["If-Modified-Since"]
        return super().send_head()

    def log_message(self, *_: Any) -> None:
        """Says nothing: a test's output is its own."""


def _copy(debs: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        shutil.copy2(deb, folder / deb.name)


def _write_packages(folder: Path, debs: str, index: Path) -> None:
    """``Packages`` and ``Packages.gz`` in ``index`` for the packages in ``folder / debs``."""
    index.mkdir(parents=True, exist_ok=True)
    packages = subprocess.run(
        ["apt-ftparchive", "packages", debs], cwd=folder, capture_output=True, check=True
    ).stdout
    (index / "Packages").write_bytes(packages)
    subprocess.run(["gzip", "--force", "--keep", "--no-name", index / "Packages"], check=True)
