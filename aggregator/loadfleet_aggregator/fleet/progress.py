"""Lines of progress while a host works: few, and only what is new."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..text.terminal import printable


class Progress:
    """Shows a host's newest line, at most one in ``every`` seconds; the rest is dropped."""

    def __init__(self, host: str, every: float, show: Callable[[str], None]) -> None:
        self._host, self._every, self._show = host, every, show
        self._shown, self._at = "", float("-inf")

    def tell(self, text: str) -> None:
        if text != self._shown and time.monotonic() - self._at >= self._every:
            self._show(f"{time.strftime('%H:%M:%S')} {self._host}: {printable(text)}")
            self._shown, self._at = text, time.monotonic()
