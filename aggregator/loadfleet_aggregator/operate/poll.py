"""Looks at every host again and again, each at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from ..hosts.inventory import FleetHost
from ..hosts.links import Answer, Links
from .live import MOST_BYTES, HostLive, LiveState, look_command, read_look, unreachable

LIMIT_S = 20.0


class Poller:
    """The newest row of each host. A host that is slow to answer keeps no other waiting."""

    def __init__(self, links: Links, run_id: str | None, every_s: float) -> None:
        self.hosts = links.hosts
        self._links, self._run_id, self._every_s = links, run_id, every_s
        self._lock = threading.Lock()
        self._rows: dict[str, HostLive] = {}
        self._gone: dict[str, int] = {}
        self._due: dict[str, float] = dict.fromkeys((host.name for host in links.hosts), 0.0)

    def start_due(self) -> None:
        """Starts a look at each host whose last one was long enough ago."""
        now = time.monotonic()
        for host in self._links.hosts:
            with self._lock:
                due = self._due[host.name] <= now
                if due:
                    self._due[host.name] = float("inf")  # until it has answered
            if due:
                self._look(host)

    def rows(self) -> list[HostLive]:
        """In the order of the hosts; those that have not answered yet are left out."""
        with self._lock:
            return [self._rows[h.name] for h in self._links.hosts if h.name in self._rows]

    def look_once(self) -> list[HostLive]:
        """One look at every host, and a second at those that may just be starting."""
        for future in [self._look(host) for host in self._links.hosts]:
            future.result()
        again = {row.host for row in self.rows() if row.state is LiveState.STARTING}
        for future in [self._look(host) for host in self._links.hosts if host.name in again]:
            future.result()
        return self.rows()

    def _look(self, host: FleetHost) -> Future[None]:
        return self._links.submit(self._see, host)

    def _see(self, host: FleetHost) -> None:
        answer = self._links.ask_one(
            host,
            look_command(host.home, self._run_id),
            limit_s=LIMIT_S,
            most_bytes=MOST_BYTES,
        )
        row = _row(answer)
        with self._lock:
            if row.state is LiveState.UNREACHABLE and host.name in self._rows:
                row = _lost(self._rows[host.name], row.note)
            self._rows[host.name] = self._settled(row)
            self._due[host.name] = time.monotonic() + self._every_s

    def _settled(self, row: HostLive) -> HostLive:
        """Gone only when it was so twice: an agent that is just starting has no lock yet."""
        gone = self._gone.get(row.host, 0) + 1 if row.state is LiveState.DIED else 0
        self._gone[row.host] = gone
        return (
            row.model_copy(update={"state": LiveState.STARTING, "note": ""}) if gone == 1 else row
        )


def _row(answer: Answer) -> HostLive:
    if not answer.reached:
        return unreachable(answer.host.name, answer.failure)
    return read_look(answer.host.name, answer.stdout)


def _lost(before: HostLive, why: str) -> HostLive:
    """How far it was when it was seen last; what it does now is not known."""
    unknown = dict.fromkeys(
        ("rate_per_s", "tokens_per_s", "eta_s", "gpu_power_w", "gpu_temperature_c")
    )
    return before.model_copy(update=unknown | {"state": LiveState.UNREACHABLE, "note": why})


def all_ended(rows: Sequence[HostLive]) -> bool:
    """Nothing more will come of any of them."""
    return bool(rows) and all(row.state.ended for row in rows)
