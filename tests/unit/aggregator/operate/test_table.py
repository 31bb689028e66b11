"""The table fits into any terminal, and nothing of a host's moves its cursor."""

from __future__ import annotations

import io

import pytest
from loadfleet_aggregator.operate.live import HostLive, LiveState
from loadfleet_aggregator.operate.table import duration, line, live_table, summary
from loadfleet_aggregator.text.figures import NO_VALUE
from rich.console import Console

ROWS = [
    HostLive(
        host="gpu-01", state=LiveState.RUNNING, run_id="run-1", phase="offline-performance",
        phase_number=5, phase_count=10, done=1200, total=13368, unit="samples", rate_per_s=5.25,
        tokens_per_s=671.5, eta_s=2317, gpu_power_w=160.4, gpu_temperature_c=61,
    ),
    HostLive(host="gpu-02", state=LiveState.DONE, run_id="run-1", phase="seal"),
    HostLive(
        host="gpu-03", state=LiveState.FAILED, run_id="run-1", phase="load", warnings=2,
        note="no memory left",
    ),
]  # fmt: skip


def drawn(rows: list[HostLive], width: int = 140, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False,
                      force_terminal=False)  # fmt: skip
    console.print(live_table(rows, width, height))
    assert isinstance(console.file, io.StringIO)
    return [text.rstrip() for text in console.file.getvalue().splitlines()]


def test_has_all_columns_where_there_is_room() -> None:
    head, first, second, third = drawn(ROWS)
    assert head.split() == [
        "host", "phase", "done/total", "samples/s", "tokens/s", "ETA", "GPU", "W", "GPU", "°C",
        "warnings",
    ]  # fmt: skip
    assert first.split() == [
        "gpu-01", "5/10", "offline-performance", "1,200/13,368", "5.2", "672", "38:37", "160", "61",
    ]  # fmt: skip
    assert second.split()[:2] == ["gpu-02", "done"]
    assert third.startswith("gpu-03  failed at load")
    assert third.endswith("2  no memory left")


@pytest.mark.parametrize("width", range(20, 141, 5))
def test_never_wraps_and_always_names_hosts(width: int) -> None:
    lines = drawn(ROWS, width)
    assert len(lines) == 4
    assert all(len(text) <= width for text in lines)
    assert [text.split()[0] for text in lines[1:]] == ["gpu-01", "gpu-02", "gpu-03"]


def test_columns_go_by_their_importance() -> None:
    kept = [drawn(ROWS, width)[0] for width in (140, 90, 75, 60, 45)]
    assert "GPU °C" in kept[0]
    assert "GPU °C" not in kept[1]
    assert ["tokens/s" in head for head in kept] == [True, True, True, True, False]
    assert all("phase" in head for head in kept)


def test_where_there_are_too_many_hosts_the_bad_ones_are_shown() -> None:
    rows = [HostLive(host=f"h{n:03}", state=LiveState.DONE, run_id="r") for n in range(100)]
    rows[70] = HostLive(host="h070", state=LiveState.UNREACHABLE, note="no route")
    rows[50] = HostLive(host="h050", state=LiveState.RUNNING, run_id="r", phase="load")
    lines = drawn(rows, height=6)
    assert [text.split()[0] for text in lines[1:]] == ["h000", "h001", "h050", "h070", "and"]
    assert lines[-1].startswith("and 96 more  96 done")


def test_nothing_of_a_hosts_moves_the_cursor_or_sets_a_colour() -> None:
    row = HostLive(
        host="a\x1b[2J", state=LiveState.RUNNING, run_id="r\x1b]0;title\x07",
        phase="[bold]\x1b[31mred", note="line\none\r\x9b2J", warnings=1,
    )  # fmt: skip
    text = "\n".join([*drawn([row]), summary([row]), line(row)])
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\x07" not in text
    assert "[bold]" in text  # as it is, and not as a style
    assert r"\x1b[2J" in text


def test_the_summary_counts_states_and_adds_what_can_be_added() -> None:
    assert summary(ROWS) == "run run-1: 1 running, 1 done, 1 failed; together 672 tokens/s, 160 W"
    other = ROWS[1].model_copy(update={"run_id": "run-2"})
    assert summary([ROWS[0], other]).startswith("2 runs: ")
    assert summary([]) == "no run: "


def test_a_line_says_what_a_row_does() -> None:
    assert line(ROWS[0]) == (
        "gpu-01: 5/10 offline-performance 1,200/13,368 samples, 672 tokens/s, 38:37 left"
    )
    assert line(ROWS[1]) == "gpu-02: done"
    assert line(ROWS[2]) == "gpu-03: failed at load: no memory left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, NO_VALUE), (0, "0:00"), (61.4, "1:01"), (3723, "1:02:03"), (1e300, "27777:46:40")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
