"""What hosts did at one time: their samples put on the controller's clock.

Each host tells its samples on its own monotonic clock, and one moment, the start of the run, on
that and on its wall clock; how far the wall clock is from the controller's is measured while the
host is watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.result import PhaseResult
from loadfleet_agent.contract.run_folder import SAMPLES

from ..fleet.clock import ClockReading
from ..fleet.common_start import HostStart
from ..samples.read import Samples
from ..text.listing import some
from .model import JointThroughput

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 9000
SECOND_NS = 10**9
TICK_NS = 100_000
"""No clock over a network is right to a tenth of a millisecond; so a sample takes half the room,
and a thousand hosts fit into memory."""
LONGEST_NS = 4 * 86_400 * SECOND_NS
"""In ticks it still fits into 32 bits."""
LATE_S = 1.0
"""Starts farther apart than this are told, whatever was agreed on."""
MANY_LATE_TOKENS = 0.05
"""Share of the tokens that came after the window, above which it is told."""
SLACK_S = 60.0
"""A last token may be noted so long after the run is said to have ended."""


@dataclass(frozen=True)
class HostWork:
    """One host's performance run on the controller's clock."""

    host: str
    start_ns: int
    """Since 1970."""
    last_token_ticks: npt.NDArray[np.uint32]
    """Of each sample, since the start."""
    output_tokens: npt.NDArray[np.uint32]
    clock_error_s: float | None
    """Most that the times may be wrong by; None: the host's clock was not measured."""
    start: HostStart | None = None
    """What the host was told; None: it was not held for a common start."""

    @property
    def end_ns(self) -> int:
        return self.start_ns + int(self.last_token_ticks.max()) * TICK_NS

    def within(self, begin_ns: int, end_ns: int) -> npt.NDArray[np.bool_]:
        """Which samples ended after the one moment and not after the other."""
        # Numbers of any size on this side: a host may say that it is in another millennium.
        after, until = ((at_ns - self.start_ns) // TICK_NS for at_ns in (begin_ns, end_ns))
        return (self.last_token_ticks > after) & (self.last_token_ticks <= until)


def host_work(
    host: str,
    phase: PhaseResult,
    samples: Samples,
    clock: ClockReading | None,
    start: HostStart | None,
) -> HostWork | str:
    """From a host's own samples, or why they tell nothing of other hosts' time."""
    if phase.started_monotonic_ns is None:
        return "it does not tell its monotonic clock"
    if not EPOCH.year < phase.started_utc.year < LAST_YEAR:
        return f"its clock says that it is the year {phase.started_utc.year}"
    lasted_s = (phase.ended_utc - phase.started_utc).total_seconds()
    # Python's own numbers first: what a host says of its clock may be of any size.
    earliest = int(samples.last_token_ns.min()) - phase.started_monotonic_ns
    latest = int(samples.last_token_ns.max()) - phase.started_monotonic_ns
    if earliest < 0 or latest > min((lasted_s + SLACK_S) * SECOND_NS, LONGEST_NS):
        return f"{SAMPLES}: a last token lies outside of the run"
    if latest < TICK_NS:
        return f"{SAMPLES}: all samples ended as the run started"
    if not samples.output_tokens.any():
        return f"{SAMPLES}: no sample has an output token"
    offset_s = clock.offset_s if clock is not None else 0.0
    return HostWork(
        host=host,
        start_ns=_ns(phase.started_utc) - round(offset_s * SECOND_NS),
        last_token_ticks=((samples.last_token_ns - phase.started_monotonic_ns) // TICK_NS).astype(
            np.uint32
        ),
        output_tokens=samples.output_tokens.astype(np.uint32),
        clock_error_s=clock.error_s if clock is not None else None,
        start=start,
    )


def joint_throughput(work: Sequence[HostWork], unusable: Sequence[str] = ()) -> JointThroughput:
    """Of two hosts or more, each with work that took time and gave tokens, as host_work sees to.

    ``unusable``: those that ran too, and whose samples tell nothing.
    """
    begin = max(host.start_ns for host in work)
    end = min(host.end_ns for host in work)
    first, last = min(host.start_ns for host in work), max(host.end_ns for host in work)
    inside = [host.within(begin, end) for host in work]
    window_s = (end - begin) / SECOND_NS
    tokens = sum(
        int(host.output_tokens[mask].sum()) for host, mask in zip(work, inside, strict=True)
    )
    samples = sum(int(mask.sum()) for mask in inside)
    late = sum(int(host.output_tokens[host.within(end, last)].sum()) for host in work)
    makespan_s = (last - first) / SECOND_NS
    lengths_s = [(host.end_ns - host.start_ns) / SECOND_NS for host in work]
    errors = [host.clock_error_s for host in work]
    skew_s = (begin - first) / SECOND_NS
    synchronised = _agreed(work) and not unusable
    all_tokens = sum(int(host.output_tokens.sum()) for host in work)
    return JointThroughput(
        hosts=len(work),
        synchronised=synchronised,
        window_start_utc=_utc(begin),
        window_end_utc=_utc(end),
        tokens_per_second=round(tokens / window_s, 4) if window_s > 0 else None,
        samples_per_second=round(samples / window_s, 4) if window_s > 0 else None,
        makespan_s=round(makespan_s, 6),
        makespan_tokens_per_second=round(all_tokens / makespan_s, 4),
        start_skew_s=round(skew_s, 6),
        clock_error_s=max((e for e in errors if e is not None), default=None)
        if None not in errors
        else None,
        imbalance=round(max(lengths_s) / (sum(lengths_s) / len(lengths_s)) - 1, 6),
        note="; ".join(_notes(work, unusable, window_s, skew_s, late / all_tokens)),
    )


def _agreed(work: Sequence[HostWork]) -> bool:
    """Whether all were told the same moment."""
    moments = {host.start.at_utc if host.start else None for host in work}
    return len(moments) == 1 and None not in moments


def _notes(
    work: Sequence[HostWork],
    unusable: Sequence[str],
    window_s: float,
    skew_s: float,
    late_tokens: float,
) -> list[str]:
    notes = [f"without {text}" for text in unusable]
    if not any(host.start for host in work):
        notes.append("each host started by itself (loadfleet_sync_start)")
    else:
        notes += [
            f"{host.host} started by itself: {host.start.reason if host.start else 'not held'}"
            for host in work
            if host.start is None or host.start.at_utc is None
        ]
        common = {host.start.at_utc for host in work if host.start and host.start.at_utc}
        if len(common) > 1:
            notes.append(f"not all at one moment: there were {len(common)}")
    if skew_s > LATE_S:
        notes.append(f"the last host started {skew_s:.1f} s after the first")
    if window_s <= 0:
        notes.append("no host ran while all others did")
    elif late_tokens > MANY_LATE_TOKENS:
        # A batch ends as a whole: what was under way as the window closed counts for nothing.
        notes.append(
            f"{late_tokens:.1%} of the tokens belong to answers that ended after the window: "
            "they count when they end, so a short run makes the common window's figure low"
        )
    if unknown := [host.host for host in work if host.clock_error_s is None]:
        notes.append(f"the clock of {some(unknown)} was not measured and is taken for right")
    return notes


def _ns(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def _utc(nanoseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)
