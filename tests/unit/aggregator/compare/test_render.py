"""The renderings show the comparison and trust no text of a host."""

from __future__ import annotations

import re

import pytest
from loadfleet_aggregator.compare.build import compare_runs
from loadfleet_aggregator.compare.render import ENDS, render_markdown, render_text
from loadfleet_aggregator.report.model import FleetReport

from ..fleets import changed_host, fleet_of, lost

HOSTILE = "b | c\n# <img src=x>\x1b[2J [x](http://e) `y` @team \\| \u202e"


@pytest.fixture
def old(one_host: FleetReport) -> FleetReport:
    return fleet_of(one_host, {"a": 1, HOSTILE: 1, "c": 1})


@pytest.fixture
def new(one_host: FleetReport) -> FleetReport:
    report = fleet_of(one_host, {"a": 0.9, HOSTILE: 0.91, "c": 0.92, "d | e": 1})
    facts = report.hosts[0].facts | {"kernel": HOSTILE}
    return changed_host(report, "a", facts=facts, shares_machine_with=(HOSTILE,))


def cells(row: str) -> int:
    """How many cells GitHub makes of a row: a backslash takes the next character's meaning."""
    return len(re.findall(r"\|", re.sub(r"\\.", "", row))) - 1


class TestText:
    def test_has_the_outcome_first_and_every_number(
        self, old: FleetReport, new: FleetReport
    ) -> None:
        text = render_text(compare_runs(old, new))
        assert text.startswith("fail: Offline tokens/s -9.0 % on 3 hosts (95 % interval ")
        (row,) = (line for line in text.splitlines() if line.startswith("Offline   "))
        assert row.endswith("fail")
        assert "-9.0 %" in row
        assert "worst a -10.0 %, best c -8.0 %" in text
        assert "TTFT p99 ms" in text
        assert "host: kernel" in text
        assert "only in the new run: d | e (ok)" in text

    def test_moves_no_cursor_and_breaks_no_line(self, old: FleetReport, new: FleetReport) -> None:
        text = render_text(compare_runs(old, lost(new, HOSTILE)))
        assert all(line.isprintable() for line in text.splitlines())
        assert not any(line.startswith("#") for line in text.splitlines())
        assert "\\x1b[2J" in text

    def test_of_many_hosts_shows_both_ends_and_counts_the_others(
        self, one_host: FleetReport
    ) -> None:
        names = [f"gpu-{n:03}" for n in range(100)]
        after = {name: 0.9 + 0.002 * n for n, name in enumerate(names)}
        text = render_text(
            compare_runs(fleet_of(one_host, dict.fromkeys(names, 1.0)), fleet_of(one_host, after))
        )
        shown = re.findall(r"^  (gpu-\d+) ", text, flags=re.MULTILINE)
        ends = names[:ENDS] + names[-ENDS:]
        assert shown == ends * 2
        assert text.count("... 90 hosts between these") == 2

    def test_says_where_nothing_changed(self, old: FleetReport) -> None:
        assert "nothing that the hosts tell" in render_text(compare_runs(old, old))


class TestMarkdown:
    def test_has_the_outcome_first_and_hosts_folded_up(
        self, old: FleetReport, new: FleetReport
    ) -> None:
        text = render_markdown(compare_runs(old, new))
        assert text.startswith("**fail: Offline tokens/s -9.0 % on 3 hosts")
        assert text.count("<details>") == text.count("</details>") == 3
        assert "| Offline | tokens/s | 3 |" in text
        assert "| **fail** |" in text
        assert "A loss of 3 % is allowed." in text
        assert text.endswith("</details>\n")

    def test_keeps_every_row_whole_and_every_word_text(
        self, old: FleetReport, new: FleetReport
    ) -> None:
        text = render_markdown(compare_runs(old, lost(new, HOSTILE)))
        tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
        assert len(tables) == 5
        for table in tables:
            rows = table.splitlines()
            assert {cells(row) for row in rows} == {cells(rows[0])}
            assert set(rows[1]) <= set("|-: ")
        assert set(re.findall(r"<[^>]*>", text)) == {
            "<details>",
            "</details>",
            "<summary>",
            "</summary>",
        }
        assert "@" not in text
        assert not re.search(r"(?<!\\)[\[`]", text)
        assert not any(line.startswith("#") for line in text.splitlines())
