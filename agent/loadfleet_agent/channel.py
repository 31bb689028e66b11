"""JSON lines over a socket pair, between the run and the worker that owns the engine."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

Message = dict[str, Any]


class Channel:
    """Both ends alike. Sending is safe from any thread; receiving is for one thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._reader = end.makefile("r", encoding="utf-8")
        self._send_lock = threading.Lock()

    def send(self, kind: str, **values: Any) -> None:
        """Raises OSError if the other side is gone."""
        line = json.dumps({"type": kind, **values}) + "\n"
        with self._send_lock:
            self._socket.sendall(line.encode())

    def receive(self) -> Message | None:
        """The next message, or None when the other side is gone. Blocks."""
        try:
            line = self._reader.readline()
        except OSError:
            return None
        message: Message | None = json.loads(line) if line.endswith("\n") else None
        return message

    def close(self) -> None:
        self._reader.close()
        self._socket.close()
