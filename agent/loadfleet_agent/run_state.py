"""What a running agent tells the world: status.json as a heartbeat, events.jsonl, the log."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .contract.base import utc_now
from .contract.files import FOR_ALL, append_for_all, write_model
from .contract.run_folder import EVENTS, STATUS
from .contract.status import Event, FailureCode, Level, State, Status
from .host.clock import ClockWatch, describe_step

HEARTBEAT_S = 2.0
RATE_WINDOW_S = 30.0


class RunState:
    """Holds the current Status and writes it at every change and as a heartbeat.

    ``interrupt`` is called once, from the heartbeat's thread, when a phase has made no progress
    for its inactivity limit, or the clock was set in one that is ``timed``.
    """

    def __init__(
        self, folder: Path, first: Status, interrupt: Callable[[FailureCode, str], None]
    ) -> None:
        self._folder = folder
        self._status = first
        self._interrupt = interrupt
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._limit_s: float | None = None
        self._clock: ClockWatch | None = None
        self._progress_at = time.monotonic()
        self._window: deque[tuple[float, int, int]] = deque()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._write()
        self._thread.start()

    @property
    def status(self) -> Status:
        return self._status

    def phase(
        self, name: str, index: int, *, limit_s: float, unit: str = "steps", timed: bool = False
    ) -> None:
        """Enters a phase; its inactivity clock starts now. ``timed``: LoadGen measures in it."""
        with self._lock:
            self._limit_s = limit_s
            self._clock = ClockWatch() if timed else None
            self._window.clear()
            self._mark_progress()
            self._update(
                phase=name,
                phase_index=index,
                done=0,
                total=0,
                unit=unit,
                rate_per_s=0.0,
                tokens_per_s=0.0,
                eta_s=None,
                message="",
                barrier=None,
                barriers_ahead=tuple(n for n in self._status.barriers_ahead if n != name),
            )
        self.event(Level.INFO, "phase-started", f"{name} started")

    def barrier(self, name: str) -> None:
        """All is ready for this phase, which waits to be started; who waits has a limit of its
        own."""
        with self._lock:
            self._limit_s = None
            self._mark_progress()
            self._update(barrier=name, message=f"ready, waiting to start {name}")
        self.event(Level.INFO, "barrier-reached", f"ready for {name}, waiting to be started")

    def barriers_ahead(self, names: tuple[str, ...]) -> None:
        """Which phases will still wait to be started."""
        with self._lock:
            self._update(barriers_ahead=names)

    def progress(self, done: int, total: int, *, tokens: int = 0, message: str = "") -> None:
        """Something was finished; counts are of this phase."""
        with self._lock:
            self._mark_progress()
            now = self._progress_at
            self._window.append((now, done, tokens))
            while len(self._window) > 2 and now - self._window[0][0] > RATE_WINDOW_S:
                self._window.popleft()
            then, done_then, tokens_then = self._window[0]
            span = now - then
            rate = (done - done_then) / span if span > 0 else 0.0
            self._update(
                done=done,
                total=total,
                rate_per_s=max(0.0, round(rate, 3)),
                tokens_per_s=max(0.0, round((tokens - tokens_then) / span, 1)) if span > 0 else 0.0,
                eta_s=round(max(0, total - done) / rate, 1) if rate > 0 and total else None,
                message=message,
            )

    def end(self, state: State, **changes: Any) -> None:
        """The last status; the heartbeat ends before it is written."""
        self._stop.set()
        self._thread.join(timeout=30)
        with self._lock:
            self._update(state=state, barrier=None, barriers_ahead=(), **changes)

    def event(self, level: Level, code: str, message: str, hint: str = "") -> None:
        """Appends to events.jsonl and prints to the agent's log."""
        event = Event(
            at_utc=utc_now(),
            level=level,
            phase=self._status.phase,
            code=code,
            message=message,
            hint=hint,
        )
        try:
            with self._lock, append_for_all(self._folder / EVENTS) as stream:
                stream.write(event.model_dump_json() + "\n")
        except OSError as error:  # what matters more will meet the same full disk
            print(f"events.jsonl could not be written: {error}", flush=True)
        print(f"{event.at_utc:%H:%M:%S} {level.value}: {message}", flush=True)

    def _mark_progress(self) -> None:
        self._progress_at = time.monotonic()
        self._status = self._status.model_copy(update={"last_progress_utc": utc_now()})

    def _update(self, **changes: Any) -> None:
        changes |= {"seq": self._status.seq + 1, "updated_utc": utc_now()}
        self._status = self._status.model_copy(update=changes)
        self._write()

    def _write(self) -> None:
        write_model(self._folder / STATUS, self._status, mode=FOR_ALL)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with self._lock:
                try:
                    self._update()
                except OSError as error:
                    # A full disk: the run itself will fail where it writes what matters.
                    print(f"status.json could not be written: {error}", flush=True)
                trouble = self._trouble()
            if trouble is not None:
                self._interrupt(*trouble)

    def _trouble(self) -> tuple[FailureCode, str] | None:
        """Why the phase has to end, told once."""
        quiet = time.monotonic() - self._progress_at
        if self._clock is not None and (step := self._clock.step_s) is not None:
            self._limit_s = self._clock = None
            return FailureCode.CLOCK_SET, describe_step(step)
        if self._limit_s is not None and quiet > self._limit_s:
            self._limit_s = self._clock = None
            return FailureCode.STALLED, (
                f"no progress in phase {self._status.phase} for {quiet:.0f} s "
                f"at {self._status.done} of {self._status.total} {self._status.unit}"
            )
        return None
