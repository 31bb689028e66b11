"""signed_repository: adds a signed apt repository, after proof that it has what is wanted."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from typing import Any
from urllib.error import URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: signed_repository
short_description: Add a signed apt repository once it has proved to have what is wanted
description:
  - The key's fingerprint, the repository's signature, and that each package is to be had at its
    version, are checked in a scratch folder by apt itself. Only then the host is changed. So a
    wrong address, key or version leaves the host as it was, with one line that says why.
  - Without I(uris) the host's own package sources are asked.
  - A repository that is set up already, with its packages installed, is not asked again; a
    second run needs no network.
options:
  name:
    description: Names the .sources file and the key's file.
    type: str
    required: true
  uris:
    description: Address of the repository; none means the host's own sources.
    type: str
    default: ''
  suites:
    description: Suite, or a path ending in a slash for a flat repository.
    type: str
    default: ./
  components:
    description: Components; none for a flat repository.
    type: str
    default: ''
  key_url:
    description: Address of the public key, armored or binary; file:// works.
    type: str
    default: ''
  fingerprint:
    description: Fingerprint that the key must have, 40 hexadecimal digits.
    type: str
    default: ''
  packages:
    description: What will be installed; name, or name=version which may end in C(*).
    type: list
    elements: str
    default: []
  set_with:
    description: Names of the variables behind the address and the version, for messages.
    type: dict
    default: {}
  check_only:
    description: Prove it, but do not set it up.
    type: bool
    default: false
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Add Docker's repository
  signed_repository:
    name: docker
    uris: https://download.docker.com/linux/ubuntu
    suites: noble
    components: stable
    key_url: https://download.docker.com/linux/ubuntu/gpg
    fingerprint: 9DC858229FC7DD38854AE2D88D81803C0EBFCD88
    packages: ["docker-ce=5:29.8.2-*"]
"""

RETURN = r"""
candidates:
  description: Version that was found of each package that is not installed as wanted.
  type: dict
  returned: always
absent:
  description: The packages that are not installed at any version.
  type: list
  elements: str
  returned: always
"""

TIMEOUT_S = 30


class Refused(Exception):
    """The repository is not what is wanted; the text is the whole message."""


def fingerprints(key: bytes) -> list[str]:
    """Fingerprints of the version 4 public keys in an OpenPGP key file (RFC 4880, 4.2 and 12.2).

    Raises Refused if it is not one.
    """
    if b"-----BEGIN PGP PUBLIC KEY BLOCK-----" in key:
        body = key.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----", 1)[1]
        body = body.split(b"-----END", 1)[0].replace(b"\r", b"")
        body = body.split(b"\n\n", 1)[-1]
        lines = [line for line in body.splitlines() if line and not line.startswith(b"=")]
        key = base64.b64decode(b"".join(lines))
    found, at = [], 0
    while at < len(key):
        tag, start, length = _packet(key, at)
        packet = key[start : start + length]
        if len(packet) < length or not packet:
            raise Refused("not a whole OpenPGP key")
        if tag == 6 and packet[0] == 4:
            found.append(
                hashlib.sha1(b"\x99" + length.to_bytes(2, "big") + packet).hexdigest().upper()
            )
        at = start + length
    return found


def _packet(key: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and length of the packet at ``at``."""
    try:
        head = key[at]
        if not head & 0x80:
            raise Refused("not an OpenPGP key")
        if head & 0x40:  # new format
            tag, first = head & 0x3F, key[at + 1]
            if first < 192:
                return tag, at + 2, first
            if first < 224:
                return tag, at + 3, ((first - 192) << 8) + key[at + 2] + 192
            return tag, at + 6, int.from_bytes(key[at + 2 : at + 6], "big")
        size = 1 << (head & 3)
        return (head >> 2) & 0xF, at + 1 + size, int.from_bytes(key[at + 1 : at + 1 + size], "big")
    except IndexError as error:
        raise Refused("not a whole OpenPGP key") from error


def explain(text: str) -> str:
    """The cause in apt's many lines, as a few words."""
    for pattern, cause in (
        (r"Could not resolve|Temporary failure resolving", "its name is not resolved"),
        (r"Connection refused", "connection refused"),
        (r"Could not connect|timed out|Network is unreachable|No route", "no route to it"),
        (r"NO_PUBKEY|not signed|couldn't be verified|signatures were invalid|Missing key",
         "it is not signed with this key"),
        (r"404 +Not Found|does not have a Release file", "nothing there (404)"),
        (r"certificate", "its certificate is not trusted"),
    ):  # fmt: skip
        if re.search(pattern, text):
            return cause
    lines = [line for line in text.splitlines() if line.startswith(("E:", "W:"))]
    return " ".join(lines or text.splitlines()[-2:])[-300:]


class Repository:
    """One repository on this host: its files, and a scratch apt that knows only it."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.params = module.params
        self.key_path = pathlib.Path("/etc/apt/keyrings", self.params["name"] + ".asc")
        self.sources_path = pathlib.Path(
            "/etc/apt/sources.list.d", self.params["name"] + ".sources"
        )

    @property
    def variable(self) -> str:
        return str(self.params["set_with"].get("uris", "its address"))

    def sources(self, key_path: pathlib.Path) -> str:
        lines = [
            "Types: deb",
            "URIs: " + self.params["uris"],
            "Suites: " + self.params["suites"],
        ]
        if self.params["components"]:
            lines.append("Components: " + self.params["components"])
        return "\n".join([*lines, f"Signed-By: {key_path}", ""])

    def is_set_up(self) -> bool:
        try:
            text = self.sources_path.read_text(encoding="utf-8")
            return text == self.sources(self.key_path) and bool(self.key_on_host())
        except OSError:
            return False

    def key_on_host(self) -> bytes:
        try:
            key = self.key_path.read_bytes()
            self.check_key(key)
            return key
        except (OSError, Refused):
            return b""

    def check_key(self, key: bytes) -> None:
        wanted = self.params["fingerprint"].replace(" ", "").upper()
        found = fingerprints(key)
        if not found or (wanted and wanted not in found):
            raise Refused(
                "the key at {} has fingerprint {}, not {}: if the vendor changed it, set {}".format(
                    self.params["key_url"],
                    ", ".join(found[:1]) or "none",
                    wanted,
                    self.params["set_with"].get("fingerprint", "its fingerprint"),
                )
            )

    def download_key(self) -> bytes:
        url = self.params["key_url"]
        try:
            key = bytes(open_url(url, timeout=TIMEOUT_S).read())
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Refused(
                "the repository's key cannot be had from {}: {}: mend the route, or set {} to "
                "a mirror".format(
                    url, reason, self.params["set_with"].get("key_url", "its address")
                )
            ) from error
        self.check_key(key)
        return key

    def missing(self) -> list[str]:
        """The packages that are not installed at their version."""
        return [item for item in self.params["packages"] if not installed(item)]

    def candidates(self, key: bytes, wanted: list[str]) -> dict[str, str]:
        """Version of each wanted package, as apt finds it in this repository alone.

        Raises Refused with the reason.
        """
        if not self.params["uris"]:
            return {item: self._find(item, []) for item in wanted}
        with tempfile.TemporaryDirectory() as scratch:
            options = self._scratch(pathlib.Path(scratch), key)
            done = subprocess.run(
                ["apt-get", "--quiet", *options, "update"],
                capture_output=True, text=True, check=False, env=dict(os.environ, LC_ALL="C"),
            )  # fmt: skip
            text = done.stdout + done.stderr
            if done.returncode != 0 or re.search(r"^(Err:|[WE]: Failed)", text, re.MULTILINE):
                raise Refused(
                    "the package repository {} cannot be used: {}: mend the route, or set {} to "
                    "a mirror".format(self.params["uris"], explain(text), self.variable)
                )
            return {item: self._find(item, options) for item in wanted}

    def _scratch(self, scratch: pathlib.Path, key: bytes) -> list[str]:
        (scratch / "key.asc").write_bytes(key)
        for name in ("parts", "lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True)
        text = self.sources(scratch / "key.asc")
        (scratch / "parts" / "one.sources").write_text(text, encoding="utf-8")
        values = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": scratch / "parts",
            "Dir::State::Lists": scratch / "lists",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Retries": 1,
            "Acquire::http::Timeout": TIMEOUT_S,
            "Acquire::https::Timeout": TIMEOUT_S,
            "Acquire::Languages": "none",
        }
        return [text for key, value in values.items() for text in ("-o", f"{key}={value}")]

    def _find(self, item: str, options: list[str]) -> str:
        name, _, version = item.partition("=")
        done = subprocess.run(
            ["apt-cache", *options, "madison", name], capture_output=True, text=True, check=False
        )
        versions = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
        fitting = [found for found in versions if matches(found, version)]
        if fitting:
            return fitting[0]
        where = self.params["uris"] or "the host's package sources"
        known = "it has " + ", ".join(versions[:4]) if versions else "it has none of that name"
        raise Refused(
            "package {} is not in {} ({}): set {} to one that is".format(
                item, where, known, self.params["set_with"].get("version", "its version")
            )
        )

    def set_up(self, key: bytes) -> None:
        for path, content in (
            (self.key_path, key),
            (self.sources_path, self.sources(self.key_path).encode()),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            pathlib.Path(temporary).chmod(0o644)
            self.module.atomic_move(temporary, str(path))
        done = subprocess.run(
            [
                "apt-get", "--quiet", "update",
                "-o", "Dir::Etc::SourceList=/dev/null",
                "-o", "Dir::Etc::SourceParts=" + self._only_ours(),
                "-o", "APT::Get::List-Cleanup=0",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Refused("apt-get update failed: " + explain(done.stdout + done.stderr))

    def _only_ours(self) -> str:
        folder: str = tempfile.mkdtemp(dir=self.module.tmpdir)
        shutil.copy(self.sources_path, folder)
        return folder


def installed(item: str) -> bool:
    name, _, version = item.partition("=")
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    status, _, have = done.stdout.partition(" ")
    return status == "installed" and matches(have, version)


def matches(version: str, wanted: str) -> bool:
    """Whether a version is the wanted one; ``wanted`` may be empty or end in ``*``."""
    if wanted.endswith("*"):
        return version.startswith(wanted[:-1])
    return wanted in ("", version)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "uris": {"type": "str", "default": ""},
            "suites": {"type": "str", "default": "./"},
            "components": {"type": "str", "default": ""},
            "key_url": {"type": "str", "default": ""},
            "fingerprint": {"type": "str", "default": ""},
            "packages": {"type": "list", "elements": "str", "default": []},
            "set_with": {"type": "dict", "default": {}},
            "check_only": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    repository = Repository(module)
    changed, candidates = False, {}
    names = [item.partition("=")[0] for item in module.params["packages"]]
    absent = [name for name in names if not installed(name)]
    try:
        wanted = repository.missing()
        is_set_up = repository.is_set_up()
        to_set_up = bool(module.params["uris"]) and not is_set_up
        if wanted or to_set_up:
            key = b""
            if module.params["uris"]:
                key = repository.key_on_host() or repository.download_key()
            candidates = repository.candidates(key, wanted)
            changed = to_set_up and not module.params["check_only"]
            if changed and not module.check_mode:
                repository.set_up(key)
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, candidates=candidates, absent=absent)


if __name__ == "__main__":
    main()
