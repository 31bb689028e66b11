"""axe-core, the engine behind most accessibility checkers, finds nothing serious."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import NARROW, WIDE, opened
from playwright.sync_api import Browser, Page, expect

SERIOUS = ("serious", "critical")


def serious(page: Page) -> list[str]:
    """What a person would stumble over, with where."""
    options = {"resultTypes": ["violations"]}
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:200]} ({len(item['nodes'])} times)"
        for item in found
        if item["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ["two", "eight"])
def test_no_serious_finding(
    browser: Browser,
    request: pytest.FixtureRequest,
    name: str,
    scheme: str,
    size: dict[str, int],
) -> None:
    with opened(browser, request.getfixturevalue(name), scheme=scheme, size=size) as found:
        for section in found.page.locator("details").all():
            section.evaluate("section => { section.open = true; }")
        assert serious(found.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_in_a_large_fleet(browser: Browser, hundred: Path, scheme: str) -> None:
    """Of as many parts as the page of a thousand hosts, for which axe takes many minutes."""
    with opened(browser, hundred, scheme=scheme) as found:
        assert serious(found.page) == []


def test_what_is_wrong_is_found(browser: Browser, eight: Path) -> None:
    """The check itself can fail."""
    with opened(browser, eight) as found:
        found.page.evaluate("document.querySelector('h1').style.color = '#ddd'")
        assert any("color-contrast" in finding for finding in serious(found.page))


def test_the_tab_key_reaches_what_works_and_the_focus_is_seen(
    browser: Browser, eight: Path
) -> None:
    with opened(browser, eight) as found:
        page = found.page
        page.keyboard.press("Tab")
        expect(page.locator("a.skip").first).to_be_focused()
        expect(page.locator("a.skip").first).to_be_in_viewport()
        page.keyboard.press("Tab")
        expect(page.locator("#theme")).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
