"""docs/report.md has every rule as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_aggregator.stragglers.rules import RULES, Rule

PAGE = Path(__file__).parents[3] / "docs" / "report.md"


def row(rule: Rule) -> str:
    flagged = {
        "above": f"above {rule.limit:g}",
        "below": f"below {rule.limit:g}",
        "below median by": f"{rule.limit:.0%} below the median",
        "differs": "differs from nearly all",
    }[rule.test]
    return f"| {rule.cause} | {rule.fact} | {flagged} | {rule.hint} |"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.fact}, {rule.test}")
def test_every_rule_is_told(rule: Rule) -> None:
    assert row(rule) in PAGE.read_text(encoding="utf-8").splitlines()


def test_no_rule_is_told_that_there_is_not() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if line.startswith("| ") and "---" not in line]
    assert len(told) == 1 + len(RULES)
