"""report.html in Chromium: it loads from disk, and all that it offers works."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from loadfleet_aggregator.text.figures import NO_VALUE
from pages import NARROW, WIDE, opened
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

SIZES = (WIDE, {"width": 768, "height": 1024}, NARROW)
PAGES = ("two", "eight", "thousand")


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def names(page: Page) -> list[str]:
    """Of the table of hosts, from top to bottom."""
    return page.locator("#host-table tbody tr:visible th").all_inner_texts()


def numbers(page: Page, head: str) -> list[float]:
    """A column of the table of hosts, without dashes."""
    heads = page.locator("#host-table thead th").all_inner_texts()
    (at,) = (index for index, text in enumerate(heads) if text.strip() == head)
    cells = page.locator(f"#host-table tbody tr :nth-child({at + 1})").all_inner_texts()
    return [float(cell.replace(",", "").rstrip(" %")) for cell in cells if cell != NO_VALUE]


class TestLoading:
    def test_it_asks_for_nothing_and_has_no_complaint(self, browser: Browser, path: Path) -> None:
        with opened(browser, path) as found:
            expect(found.page.locator("h1")).to_be_visible()
            found.page.locator("#theme").click()
            assert found.asked == [path.as_uri()]
            assert found.said == []

    @pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
    @pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
    def test_it_never_scrolls_sideways(
        self, browser: Browser, path: Path, size: dict[str, int], script: bool
    ) -> None:
        with opened(browser, path, size=size, script=script) as found:
            page = found.page
            # Without a script in the page, the protocol still asks it.
            box = page.locator("html").bounding_box()
            assert box
            assert box["width"] == size["width"]
            if script:
                page.locator("[data-details=open]").click()
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide == size["width"]

    def test_verdict_number_and_worst_host_are_on_the_first_screen(
        self, browser: Browser, eight: Path
    ) -> None:
        with opened(browser, eight) as found:
            for text in ("Fail", "12,945.1", "thermal throttling", "out of GPU memory", "short"):
                first = found.page.locator("header").get_by_text(text).first
                box = first.bounding_box()
                assert box
                assert box["y"] + box["height"] < WIDE["height"]


class TestWithoutScript:
    def test_verdict_table_and_charts_are_there(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight, script=False) as found:
            page = found.page
            expect(page.locator("h1")).to_have_text("Fail")
            assert names(page)[:2] == ["gpu-5", "gpu-6"]  # sorted already, the worst first
            assert page.locator("#latency .curves path[data-series]:visible").count() >= 10
            expect(page.locator("#timeline .curves").first).to_be_visible()
            expect(page.locator("#throughput svg.bar").first).to_be_visible()

    def test_it_offers_nothing_that_needs_a_script(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight, script=False) as found:
            assert found.page.locator("button:visible, input:visible").count() == 0

    def test_a_link_opens_a_hosts_section(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight, script=False) as found:
            found.page.locator("#host-table a", has_text="gpu-3").click()
            expect(found.page.locator("#host-gpu-3")).to_be_visible()


class TestSorting:
    def test_a_click_sorts_up_and_the_next_down(self, browser: Browser, path: Path) -> None:
        with opened(browser, path) as found:
            page, head = found.page, "Offline tokens/s"
            button = page.locator("#host-table").get_by_role("button", name=head, exact=True)
            column = button.locator("xpath=..")
            expect(column).to_have_attribute("aria-sort", "none")
            button.click()
            expect(column).to_have_attribute("aria-sort", "ascending")
            up = numbers(page, head)
            assert up == sorted(up)
            assert len(up) > 1
            button.click()
            expect(column).to_have_attribute("aria-sort", "descending")
            assert numbers(page, head) == up[::-1]
            expect(page.locator("#said")).to_have_text(
                "All hosts, worst first: sorted by Offline tokens/s, descending"
            )

    def test_hosts_without_a_number_stay_at_the_end(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight) as found:
            button = found.page.locator("#host-table").get_by_role("button", name="ROUGE-L")
            for _ in range(2):
                button.click()
                assert set(names(found.page)[-3:]) == {"gpu-5", "gpu-6", "gpu-8"}

    def test_the_keyboard_sorts(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight) as found:
            page = found.page
            page.locator("#host-table button").first.focus()
            page.keyboard.press("Enter")
            assert names(page) == [f"gpu-{number}" for number in range(1, 9)]
            page.keyboard.press("Space")
            assert names(page) == [f"gpu-{number}" for number in range(8, 0, -1)]

    def test_names_are_ordered_by_their_numbers(self, browser: Browser, thousand: Path) -> None:
        with opened(browser, thousand) as found:
            found.page.locator("#host-table button").first.click()
            assert names(found.page) == [f"gpu-{number:04}" for number in range(1, 1001)]


class TestTheme:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_follows_the_system_until_the_switch_is_used(
        self, browser: Browser, eight: Path, scheme: str
    ) -> None:
        with opened(browser, eight, scheme=scheme) as found:
            page, other = found.page, {"light": "dark", "dark": "light"}[scheme]
            colours = [_background(page)]
            switch = page.locator("#theme")
            expect(switch).to_have_text(f"{other.capitalize()} mode")
            switch.click()
            expect(switch).to_have_text(f"{scheme.capitalize()} mode")
            colours.append(_background(page))
            switch.click()
            colours.append(_background(page))
            assert colours[0] == colours[2] != colours[1]
            assert (sum(colours[0]) > sum(colours[1])) is (scheme == "light")


def _background(page: Page) -> list[int]:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in colour[4:-1].split(",")]


class TestFleet:
    def test_the_arrow_keys_go_through_the_cells(self, browser: Browser, thousand: Path) -> None:
        with opened(browser, thousand) as found:
            page = found.page
            cells = page.locator(".strip a")
            assert cells.count() == 999
            assert page.locator(".strip a[tabindex='0']").count() == 1
            cells.first.focus()
            for key, at in (("ArrowRight", 1), ("End", 998), ("Home", 0)):
                page.keyboard.press(key)
                expect(cells.nth(at)).to_be_focused()
            page.keyboard.press("ArrowDown")
            below = page.evaluate("[...document.activeElement.closest('ul').children].indexOf("
                                  "document.activeElement.parentElement)")  # fmt: skip
            first, second = cells.first.bounding_box(), cells.nth(below).bounding_box()
            assert first
            assert second
            assert first["x"] == second["x"]
            assert first["y"] < second["y"]

    def test_a_cell_leads_to_its_host(self, browser: Browser, thousand: Path) -> None:
        with opened(browser, thousand) as found:
            page = found.page
            page.locator(".strip a[href='#host-gpu-0003']").click()
            expect(page.locator("#host-gpu-0003")).to_be_in_viewport()
            page.locator(".strip a[href='#host-gpu-0900']").click()
            expect(page.locator("#host-gpu-0900")).to_be_in_viewport()

    def test_hosts_are_found_by_name_and_by_trouble(self, browser: Browser, thousand: Path) -> None:
        with opened(browser, thousand) as found:
            page = found.page
            page.locator("#find").fill("GPU-01")
            expect(page.locator("#found")).to_have_text("100 of 1000")
            page.locator("#find").fill("")
            page.locator("#wanting").check()
            expect(page.locator("#found")).to_have_text("5 of 1000")
            assert names(page) == [f"gpu-000{number}" for number in (5, 6, 7, 3, 4)]


class TestCharts:
    def test_the_legend_hides_a_line(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight) as found:
            figure = found.page.locator("#timeline figure")
            lines = figure.locator("path[data-series=host-gpu-3]")
            shown = lines.count()
            assert shown > 4
            button = figure.locator(".legend").get_by_role("button", name="gpu-3")
            button.click()
            expect(button).to_have_attribute("aria-pressed", "false")
            assert [line.is_visible() for line in lines.all()] == [False] * shown
            button.click()
            assert all(line.is_visible() for line in lines.all())

    def test_the_pointer_tells_values(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight) as found:
            page, tip = found.page, found.page.locator("#tip")
            power = page.locator("#timeline svg[aria-label*='GPU power'] .curves")
            power.scroll_into_view_if_needed()
            box = power.bounding_box()
            assert box
            page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
            expect(tip).to_be_visible()
            head, *lines = tip.inner_text().split("\n")
            assert head.startswith("12:0")
            values = {name: float(value) for name, value in (line.split("  ") for line in lines)}
            assert set(values) == {f"gpu-{number}" for number in (1, 2, 3, 4, 7)}
            assert all(550 < value < 720 for value in values.values())  # 650 W with scatter
            page.mouse.move(box["x"] - 100, 5)
            expect(tip).to_be_hidden()

    def test_a_distribution_tells_each_hosts_latency(self, browser: Browser, eight: Path) -> None:
        with opened(browser, eight) as found:
            page = found.page
            chart = page.locator("#latency svg[aria-label^='Server TPOT'] .curves")
            chart.scroll_into_view_if_needed()
            box = chart.bounding_box()
            assert box
            page.mouse.move(box["x"] + 40, box["y"] + box["height"] * 0.5)
            head, *lines = page.locator("#tip").inner_text().split("\n")
            assert head == "p50"
            told = {line.split("  ")[0]: float(line.split("  ")[1].split()[0]) for line in lines}
            row = page.locator("#latency table", has_text="Server TPOT by host").locator(
                "tr", has_text="gpu-3"
            )
            p50 = float(row.locator("td.n").first.inner_text())
            assert told["gpu-3"] == pytest.approx(p50, abs=0.02)


class TestPrint:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_a_small_fleet_is_a_few_pages(self, browser: Browser, eight: Path, scheme: str) -> None:
        with opened(browser, eight, scheme=scheme) as found:
            pdf = PdfReader(io.BytesIO(found.page.pdf(format="A4")))
        text = [page.extract_text() for page in pdf.pages]
        assert 3 <= len(text) <= 14
        for words in ("Fail", "4 of 7 hosts ok", "12,945.1", "gpu-5"):
            assert words in text[0]
        assert "Dark mode" not in "".join(text)

    def test_a_thousand_hosts_are_all_there(self, browser: Browser, thousand: Path) -> None:
        with opened(browser, thousand) as found:
            pdf = PdfReader(io.BytesIO(found.page.pdf(format="A4", landscape=True)))
        text = "".join(page.extract_text() for page in pdf.pages)
        assert len(pdf.pages) <= 90
        assert all(f"gpu-{number:04}" in text for number in range(1, 1001))
