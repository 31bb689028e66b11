"""How long report.html takes to its first paint in Chromium, from disk, and how large it is.

Each page is opened in a browser of its own, so that nothing is cached; the figure is the browser's
own first-contentful-paint.

usage: python benchmarks/page.py REPORT.html [REPORT.html ...] [--repeats 5] [--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Playwright, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const paint = list.getEntriesByName("first-contentful-paint")[0];
    if (paint) resolve(paint.startTime);
  }).observe({ type: "paint", buffered: true });
})"""
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def paint_ms(playwright: Playwright, page: Path) -> tuple[float, float]:
    """First contentful paint and the end of loading, after the start of navigation."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    try:
        tab = browser.new_page(viewport={"width": 1440, "height": 1000})
        tab.goto(page.resolve().as_uri(), wait_until="load")
        return float(tab.evaluate(PAINT)), float(tab.evaluate(LOADED))
    finally:
        browser.close()


def measure(playwright: Playwright, page: Path, repeats: int) -> dict[str, Any]:
    figures = [paint_ms(playwright, page) for _ in range(repeats)]
    paints = sorted(paint for paint, _ in figures)
    return {
        "page": str(page),
        "bytes": page.stat().st_size,
        "first_paint_ms": round(median(paints)),
        "first_paint_range_ms": [round(paints[0]), round(paints[-1])],
        "loaded_ms": round(median(loaded for _, loaded in figures)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        found = [measure(playwright, page, options.repeats) for page in options.pages]
    if options.json:
        print(json.dumps(found))
        return
    for page in found:
        low, high = page["first_paint_range_ms"]
        paint = f"first paint {page['first_paint_ms']} ms ({low} to {high})"
        size = f"{page['bytes'] / 1e6:.2f} MB"
        print(f"{page['page']}: {size}, {paint}, loaded {page['loaded_ms']} ms")


if __name__ == "__main__":
    main()
