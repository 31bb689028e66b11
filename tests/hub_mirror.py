"""A mirror of the Hugging Face hub from a plain folder, for the real huggingface_hub to talk to.

Speaks what that client needs for models: metadata, tree, access check, and files with ranges.
Large files are redirected to a second port that takes no token, as the hub does to its storage.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".pth", ".gguf")
LFS_FROM_BYTES = 10 << 20
"""From this size on the hub keeps every file by its SHA-256 (Git LFS), smaller ones in git."""
PIECE_BYTES = 256 << 10
BRANCH = "main"


@dataclass
class Request:
    """One request that the mirror has got, and what it has answered."""

    server: str  # "hub" or "storage"
    method: str
    path: str
    byte_range: str | None
    authorization: bool
    status: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True)
class File:
    path: str
    source: Path
    size: int
    sha256: str
    git_sha1: str

    @property
    def is_lfs(self) -> bool:
        return self.path.endswith(LFS_SUFFIXES) or self.size >= LFS_FROM_BYTES

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_sha1


class HubMirror:
    """Serves ``root/org/name/`` as the model repositories ``org/name``, as a context manager.

    With ``token`` every repository is gated: files need that token. A token of
    ``tokens_without_access`` is known and refused, any other is unknown. The attributes may be
    changed while it serves.
    """

    def __init__(
        self,
        root: Path,
        address: str = "127.0.0.1",
        token: str | None = None,
        tokens_without_access: Collection[str] = (),
    ) -> None:
        self.root, self.address, self.token = root, address, token
        self.tokens_without_access = tokens_without_access
        self.corrupt: set[str] = set()
        """Names of files that are sent with one byte changed."""
        self.short: set[str] = set()
        """Names of files that are sent without their last byte."""
        self.ignore_ranges = False
        """A file is always sent whole, as some proxies do."""
        self.bytes_per_s: float | None = None
        """Speed of each answer with a file in it."""
        self.hold_at: int | None = None
        """A file is sent up to this byte, and further only when this is None again."""
        self.requests: list[Request] = []
        self._servers: list[ThreadingHTTPServer] = []
        self.cuts = 0
        self.closing = False

    def __enter__(self) -> HubMirror:
        for name in ("hub", "storage"):
            handler = type("Handler", (_Handler,), {"mirror": self, "server_name": name})
            server = ThreadingHTTPServer((self.address, 0), handler)
            server.daemon_threads = True
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        """What huggingface_hub calls the endpoint."""
        return self._url(0)

    @property
    def storage_url(self) -> str:
        return self._url(1)

    def commit(self, repo: str) -> str:
        """The commit that ``main`` of a repository is: it changes with any byte of its files."""
        listing = [(file.path, file.sha256) for file in self.files(repo)]
        return hashlib.sha1(json.dumps(listing).encode()).hexdigest()

    def files(self, repo: str) -> list[File]:
        folder = self.root / repo
        return [
            _describe(path, path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and (stat := path.stat())
        ]

    def sent(self, name: str) -> int:
        """Bytes of the file that have been sent, in all answers together."""
        return sum(item.sent_bytes for item in self.requests if item.path.endswith(f"/{name}"))

    def cut(self) -> None:
        """Ends the connection of every answer that is being sent."""
        self.cuts += 1

    def _url(self, index: int) -> str:
        return f"http://{self.address}:{self._servers[index].server_address[1]}"


@cache
def _describe(source: Path, path: str, size: int, _mtime_ns: int) -> File:
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with source.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            sha256.update(piece)
            sha1.update(piece)
    return File(path, source, size, sha256.hexdigest(), sha1.hexdigest())


class _Answer(Exception):
    """An error of the hub: its status, X-Error-Code and X-Error-Message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: HubMirror
    server_name: str

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return None

    def do_GET(self) -> None:
        self._request = Request(
            self.server_name,
            self.command,
            unquote(urlsplit(self.path).path),
            self.headers.get("Range"),
            "Authorization" in self.headers,
        )
        self.mirror.requests.append(self._request)
        try:
            if self.server_name == "storage":
                self._storage()
            else:
                self._hub()
        except _Answer as error:
            body = json.dumps({"error": error.message}).encode()
            headers = {"X-Error-Message": error.message, "Content-Type": "application/json"}
            if error.code:
                headers["X-Error-Code"] = error.code
            self._send(error.status, headers, body)
        except ConnectionError:  # the client is gone
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def _hub(self) -> None:
        known = {self.mirror.token, *self.mirror.tokens_without_access} - {None}
        if self._token is not None and self._token not in known:
            raise _Answer(401, "", "Invalid credentials in Authorization header")
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), parts[4:], parse_qs(url.query))
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            raise _Answer(404, "", "Sorry, we can't find the page you are looking for.")

    def _api(self, repo: str, rest: list[str], query: dict[str, list[str]]) -> None:
        commit = self._commit(repo, rest[1] if len(rest) > 1 else BRANCH)
        files = self.mirror.files(repo)
        if rest[:1] == ["auth-check"]:
            self._require_access(repo)
            self._json({})
        elif rest[:1] == ["tree"]:
            whole = query.get("recursive", [""])[0].lower() == "true"
            self._json(_tree(files, "".join(f"{part}/" for part in rest[2:]), whole=whole))
        else:
            blobs = query.get("blobs", [""])[0].lower() == "true"
            self._json(
                {
                    "_id": "0" * 24,
                    "id": repo,
                    "modelId": repo,
                    "sha": commit,
                    "private": False,
                    "gated": "manual" if self.mirror.token else False,
                    "disabled": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [
                        {"rfilename": file.path}
                        | ({"size": file.size, "blobId": file.git_sha1} if blobs else {})
                        | ({"lfs": _lfs(file, "sha256")} if blobs and file.is_lfs else {})
                        for file in files
                    ],
                }
            )

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        commit = self._commit(repo, revision)
        self._require_access(repo)
        file = next((item for item in self.mirror.files(repo) if item.path == path), None)
        if file is None:
            raise _Answer(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        if file.is_lfs:
            headers |= {
                "X-Linked-Etag": f'"{file.sha256}"',
                "X-Linked-Size": str(file.size),
                "Location": f"{self.mirror.storage_url}/{repo}/{path}?signature=0",
            }
            self._send(302, headers, b"")
        else:
            self._send_file(file, headers)

    def _storage(self) -> None:
        org, name, path = self._request.path.strip("/").split("/", 2)
        file = next(item for item in self.mirror.files(f"{org}/{name}") if item.path == path)
        self._send_file(file, {"ETag": f'"{file.sha256}"', "Accept-Ranges": "bytes"})

    @property
    def _token(self) -> str | None:
        value = self.headers.get("Authorization")
        return value.removeprefix("Bearer ") if value is not None else None

    def _commit(self, repo: str, revision: str) -> str:
        if not (self.mirror.root / repo).is_dir():
            # To one who is not known the hub does not say whether there is a private one.
            if self._token is None:
                raise _Answer(401, "RepoNotFound", "Invalid username or password.")
            raise _Answer(404, "RepoNotFound", "Repository not found")
        commit = self.mirror.commit(repo)
        if revision not in (BRANCH, commit):
            raise _Answer(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _require_access(self, repo: str) -> None:
        if self.mirror.token is None or self._token == self.mirror.token:
            return
        if self._token is None:
            raise _Answer(
                401,
                "GatedRepo",
                f"Access to model {repo} is restricted. You must have access to it and be "
                "authenticated to access it. Please log in.",
            )
        raise _Answer(
            403,
            "GatedRepo",
            f"Access to model {repo} is restricted and you are not in the authorized list. "
            f"Visit https://huggingface.co/{repo} to ask for access.",
        )

    def _json(self, value: object) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)
            self._request.sent_bytes += len(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._request.status = status
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _send_file(self, file: File, headers: dict[str, str]) -> None:
        size = file.size - (file.path in self.mirror.short)
        first, last, status = 0, size - 1, 200
        if self._request.byte_range is not None and not self.mirror.ignore_ranges:
            start, _, end = self._request.byte_range.removeprefix("bytes=").partition("-")
            first, last, status = int(start), min(int(end or last), last), 206
            if first >= size:
                self._send(416, {"Content-Range": f"bytes */{size}"}, b"")
                return
            headers = headers | {"Content-Range": f"bytes {first}-{last}/{size}"}
        self._head(status, headers | {"Content-Length": str(last + 1 - first)})
        if self.command == "HEAD":
            return
        with file.source.open("rb") as stream:
            stream.seek(first)
            position, cuts = first, self.mirror.cuts
            while position <= last:
                self._pace(position, cuts)
                piece = bytearray(stream.read(min(PIECE_BYTES, last + 1 - position)))
                middle = file.size // 2 - position
                if file.path in self.mirror.corrupt and 0 <= middle < len(piece):
                    piece[middle] ^= 1
                self.wfile.write(piece)
                self._request.sent_bytes += len(piece)
                position += len(piece)

    def _pace(self, position: int, cuts: int) -> None:
        if self.mirror.bytes_per_s:
            time.sleep(PIECE_BYTES / self.mirror.bytes_per_s)
        while True:
            if self.mirror.closing or self.mirror.cuts != cuts:
                raise ConnectionAbortedError
            hold = self.mirror.hold_at
            if hold is None or position < hold:
                return
            time.sleep(0.02)


def _tree(files: list[File], folder: str, *, whole: bool) -> list[dict[str, Any]]:
    """What is in a folder of a repository ("" or "name/"), or also in those below it."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        below = file.path.removeprefix(folder).split("/")
        if not file.path.startswith(folder):
            continue
        for depth in range(1, len(below)):
            path = folder + "/".join(below[:depth])
            if whole or depth == 1:
                oid = hashlib.sha1(path.encode()).hexdigest()
                found[path] = {"type": "directory", "path": path, "size": 0, "oid": oid}
        if whole or len(below) == 1:
            entry = {"type": "file", "path": file.path, "size": file.size, "oid": file.git_sha1}
            found[file.path] = entry | ({"lfs": _lfs(file, "oid")} if file.is_lfs else {})
    return list(found.values())


def _lfs(file: File, key: str) -> dict[str, object]:
    return {key: file.sha256, "size": file.size, "pointerSize": 134}
