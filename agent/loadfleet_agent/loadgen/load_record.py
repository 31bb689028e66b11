"""Records what an engine is busy with, once a second, while LoadGen runs."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from ..contract.base import utc_now
from ..contract.files import write_atomic
from ..engine.base import Engine

INTERVAL_S = 1.0


@contextlib.contextmanager
def recorded_load(engine: Engine, path: Path, interval_s: float = INTERVAL_S) -> Iterator[None]:
    """Writes engine_load.jsonl as the run ends; no file for an engine that does not tell.

    One line a moment: at_utc, running and waiting requests, and the share of the KV cache in use.
    Until the end they are kept in memory, as samples are.
    """
    lines: list[str] = []
    ended = threading.Event()

    def record() -> None:
        last = False
        while not last:
            last = ended.wait(interval_s)
            if (load := engine.load()) is not None:
                told = {
                    "at_utc": utc_now().isoformat(),
                    "running": load.running,
                    "waiting": load.waiting,
                    "kv_cache": load.kv_cache,
                }
                lines.append(json.dumps(told, separators=(",", ":")) + "\n")

    thread = threading.Thread(target=record, name="engine load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if lines:
        write_atomic(path, "".join(lines))
