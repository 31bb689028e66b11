"""The machines of the suite, brought up once, and the record that each test must fill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_rows import ROWS, Record
from fault_site import Site, open_site

HOSTS = ("h1", "h2")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("faults"), HOSTS) as site:
        yield site


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """The row of this test in docs/reliability.md: all that it claims must be asserted."""
    record = Record(ROWS[request.node.originalname or request.node.name])
    yield record
    if request.node.stash.get(PASSED, False):
        record.require_complete()


PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.fleet)
