"""Lines of progress."""

from __future__ import annotations

from loadfleet_aggregator.fleet.progress import Progress


def test_shows_each_new_line_with_the_host() -> None:
    shown: list[str] = []
    progress = Progress("gpu-01", 0.0, shown.append)
    for text in ("1/10 inspect", "1/10 inspect", "2/10 prepare"):
        progress.tell(text)
    lines = [line.split(" ", 1)[1] for line in shown]
    assert lines == ["gpu-01: 1/10 inspect", "gpu-01: 2/10 prepare"]


def test_shows_no_second_line_before_its_time() -> None:
    shown: list[str] = []
    progress = Progress("gpu-01", 3600.0, shown.append)
    for topic in ("inspect", "prepare", "load"):
        progress.tell(topic)
    assert len(shown) == 1
