"""Chromium, and the reports that it opens, once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aggregator.filled import filled_fleet
from aggregator.report.gpu_hosts import gpu_host
from aggregator.submission.official_runs import collect
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport
from pages import CHROMIUM, write_page
from playwright.sync_api import Browser, sync_playwright


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's own; Playwright brings none. Its sandbox wants a user that is not root."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    """A host with a GPU, from LoadGen's own logs."""
    folder = tmp_path_factory.mktemp("one")
    run = gpu_host(folder / "run", "gpu-01")
    return build_report(collect(folder / "results", [run]), Prices(per_gpu_hour=2.5, per_kwh=0.3))


@pytest.fixture(scope="session")
def eight(one: FleetReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of eight hosts, of which one each is slow, odd, failed, unreachable, not valid and
    not selected."""
    report = filled_fleet(one, 8).model_copy(update={"labels": ("short", "synthetic-dataset")})
    return write_page(tmp_path_factory.mktemp("eight"), report)


@pytest.fixture(scope="session")
def hundred(one: FleetReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a fleet that is drawn as bands, and not listed whole."""
    return write_page(tmp_path_factory.mktemp("hundred"), filled_fleet(one, 100))


@pytest.fixture(scope="session")
def thousand(one: FleetReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 1,000 hosts, the first of them as in ``eight``."""
    return write_page(tmp_path_factory.mktemp("thousand"), filled_fleet(one, 1000))


@pytest.fixture(scope="session")
def two(one: FleetReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two hosts of which nothing is to be said."""
    return write_page(tmp_path_factory.mktemp("two"), filled_fleet(one, 2))
