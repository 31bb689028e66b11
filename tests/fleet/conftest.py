"""The site of the tests, brought up once and taken down however they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gpu_site import Site, import_base_image, open_site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.fleet)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Machines that are up and bare."""
    with open_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def provisioned(site: Site) -> Site:
    """The site after the first provisioning: drivers and Docker, then all of it."""
    early = site.provision("--skip-tags", "agent,caches")
    assert early.returncode == 0, early.output
    import_base_image(site.machines["gpu-1"])
    played = site.provision()
    assert played.returncode == 0, played.output
    (site.folder / "provisioned.txt").write_text(played.output)
    return site
