"""Reports as files, and Chromium that opens them with no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.page import render_html
from playwright.sync_api import Browser, Page, Route
from waiting import LONG_S

CHROMIUM = Path("/usr/bin/chromium")
WIDE = {"width": 1440, "height": 1000}
NARROW = {"width": 390, "height": 844}


@dataclass
class Opened:
    """A page, and what it asked for and complained of since it was opened."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def write_page(folder: Path, report: FleetReport) -> Path:
    path = folder / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    return path


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    *,
    size: dict[str, int] = WIDE,
    scheme: str = "light",
    script: bool = True,
) -> Iterator[Opened]:
    """The file in a window of its own. All that is no file is refused, and told in ``asked``."""
    context = browser.new_context(
        viewport=size, color_scheme=scheme, java_script_enabled=script, reduced_motion="reduce"
    )
    context.set_default_timeout(LONG_S * 1000)
    found = Opened(context.new_page())

    def route(route: Route) -> None:
        found.asked.append(route.request.url)
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            route.abort()

    context.route(re.compile(".*"), route)
    found.page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.said.append(f"error: {error}"))
    found.page.goto(path.as_uri(), wait_until="load")
    yield found
    context.close()
