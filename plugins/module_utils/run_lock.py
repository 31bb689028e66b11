"""Whether a benchmark run is in progress on this host, asked without the agent."""

from __future__ import annotations

import fcntl
import json
import pathlib

GPU_LOCKS = pathlib.Path("/run/lock/loadfleet")


def run_in_progress(home: str) -> dict[str, str] | None:
    """Who runs in this data folder or on a GPU of this host: run_id, since, pid, unit; or None.

    The agent holds an exclusive lock on ``home/run.lock`` and on one file a GPU for as long as it
    lives; the kernel lets go of it however the agent ends, so nothing here can be stale.
    """
    for path in [pathlib.Path(home, "run.lock"), *sorted(GPU_LOCKS.glob("*.lock"))]:
        try:
            with path.open(encoding="utf-8") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _owner(stream.read())
        except OSError:
            continue
    return None


def describe_run(owner: dict[str, str]) -> str:
    """For a message: which run, since when."""
    return "run {} is in progress since {}".format(
        owner.get("run_id", "?"), owner.get("since", "?")
    )


def _owner(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
