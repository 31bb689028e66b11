"""docs/doctor.md has every check as it is, and no other."""

from __future__ import annotations

from pathlib import Path

from loadfleet_aggregator.doctor.catalogue import catalogue_table

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


def test_the_tables_are_what_the_catalogue_says() -> None:
    assert catalogue_table() in PAGE.read_text(encoding="utf-8"), catalogue_table()
