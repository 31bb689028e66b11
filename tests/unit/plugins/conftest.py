"""One real run of a small fleet, shared by all tests that look at what it left."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .helpers import BAD_PYTHON, LOCAL, UNREACHABLE, Played, Site


@dataclass(frozen=True)
class FleetRun:
    site: Site
    played: Played


@pytest.fixture(scope="session")
def fleet_run(tmp_path_factory: pytest.TempPathFactory) -> FleetRun:
    """A host that works, one that is not reached, and one without its Python."""
    hosts = {"good": LOCAL, "gone": UNREACHABLE, "odd": BAD_PYTHON}
    site = Site(tmp_path_factory.mktemp("fleet"), hosts)
    return FleetRun(site, site.play())


@pytest.fixture(scope="session")
def lost_run(tmp_path_factory: pytest.TempPathFactory) -> FleetRun:
    """A fleet of which no host is reached, limited to two of three, with a price."""
    hosts = dict.fromkeys(("one", "two", "three"), UNREACHABLE)
    site = Site(tmp_path_factory.mktemp("lost"), hosts)
    return FleetRun(site, site.play("--limit", "one,two", "-e", "loadfleet_price_per_kwh=0.3"))
