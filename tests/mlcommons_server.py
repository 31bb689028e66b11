"""A server of the shapes that MLCommons' bucket serves: .uri, .md5, and files with ranges."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FOLDER = "/llama3.1_8b/datasets"
LOGIN = "https://mlcommons.cloudflareaccess.com/cdn-cgi/access/login/inference"
PIECE_BYTES = 256 << 10


@dataclass
class Request:
    method: str
    path: str
    byte_range: str | None
    sent_bytes: int = 0


class MlcommonsServer:
    """Serves ``files`` (name to bytes) as a dataset each, as a context manager.

    The attributes may be changed while it serves.
    """

    def __init__(self, files: dict[str, tuple[str, bytes]], address: str = "127.0.0.1") -> None:
        self._address = address
        self.files = files
        """MLCommons' name of the dataset, to its file's name and content."""
        self.texts: dict[str, str] = {}
        """Other content of a .uri or .md5 file, by its name."""
        self.md5_form = "{md5}  {name}\n"
        self.corrupt = False
        self.ignore_ranges = False
        self.login: set[str] = set()
        """Paths that ask for a login: 'metadata' or 'files'."""
        self.status: int | None = None
        """Of every answer, with no content."""
        self.hold_at: int | None = None
        """A file is sent up to this byte, and further only when this is None again."""
        self.cuts = 0
        self.closing = False
        self.requests: list[Request] = []

    def __enter__(self) -> MlcommonsServer:
        handler = type("Handler", (_Handler,), {"bucket": self})
        self._server = ThreadingHTTPServer((self._address, 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing = True
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self._server.server_address[1]}"

    @property
    def metadata(self) -> str:
        """What the agent calls the base URL."""
        return f"{self.url}/metadata"

    def cut(self) -> None:
        """Ends the connection of every answer that is being sent."""
        self.cuts += 1

    @property
    def file_gets(self) -> list[Request]:
        return [r for r in self.requests if r.method == "GET" and r.path.startswith(FOLDER)]

    @property
    def sent(self) -> int:
        """Bytes of files that have been sent, in all answers together."""
        return sum(request.sent_bytes for request in self.file_gets)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: MlcommonsServer

    def log_message(self, *_: object) -> None:
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._request = Request(self.command, self.path, self.headers.get("Range"))
        self.bucket.requests.append(self._request)
        kind = "metadata" if self.path.startswith("/metadata/") else "files"
        try:
            if self.bucket.status is not None:
                self._send(self.bucket.status, b"")
            elif kind in self.bucket.login:
                self._send(302, b"", {"Location": LOGIN})
            elif kind == "metadata":
                self._metadata(self.path.removeprefix("/metadata/"))
            else:
                self._file(self.path.removeprefix(f"{FOLDER}/"))
        except ConnectionError:  # the client is gone
            self.close_connection = True

    def _metadata(self, name: str) -> None:
        dataset, _, suffix = name.rpartition(".")
        if name in self.bucket.texts:
            self._send(200, self.bucket.texts[name].encode())
        elif dataset not in self.bucket.files:
            self._send(404, b"Not found")
        elif suffix == "uri":
            self._send(200, f"{self.bucket.url}{FOLDER}\n".encode())
        else:
            file, content = self.bucket.files[dataset]
            md5 = hashlib.md5(content).hexdigest()
            other = "0" * 32
            text = f"{other}  another.json\n" + self.bucket.md5_form.format(md5=md5, name=file)
            self._send(200, text.encode())

    def _file(self, name: str) -> None:
        known = dict(self.bucket.files.values())
        if name not in known:
            self._send(404, b"Not found")
            return
        content = known[name]
        if self.bucket.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        first, size, headers, status = 0, len(content), {"Accept-Ranges": "bytes"}, 200
        if self._request.byte_range is not None and not self.bucket.ignore_ranges:
            first = int(self._request.byte_range.removeprefix("bytes=").partition("-")[0])
            if first >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
            status = 206
        self._head(status, size - first, headers)
        if self.command == "HEAD":
            return
        cuts = self.bucket.cuts
        for position in range(first, size, PIECE_BYTES):
            self._pace(position, cuts)
            piece = content[position : position + PIECE_BYTES]
            self.wfile.write(piece)
            self._request.sent_bytes += len(piece)

    def _pace(self, position: int, cuts: int) -> None:
        while True:
            if self.bucket.closing or self.bucket.cuts != cuts:
                raise ConnectionAbortedError
            hold = self.bucket.hold_at
            if hold is None or position < hold:
                return
            time.sleep(0.02)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._head(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(length)} | headers).items():
            self.send_header(key, value)
        self.end_headers()
