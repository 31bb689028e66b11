"""The site of the tests, brought up once and taken down however they end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gpu_site import GPU_HOSTS, Site, disk_state, import_base_image, open_site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.fleet)
    # These change what all the others look at.
    last = ["test_registry.py", "test_cleanup.py"]
    items.sort(key=lambda item: last.index(item.path.name) if item.path.name in last else -1)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Machines that are up and bare."""
    with open_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def provisioned(site: Site) -> Site:
    """The site after check mode, then the first provisioning: Docker, then all of it."""
    before = {name: disk_state(site.machines[name]) for name in GPU_HOSTS}
    check = site.provision("--check")
    assert check.returncode == 0, check.output
    after = {name: disk_state(site.machines[name]) for name in GPU_HOSTS}
    site.check_mode_kept = {name: after[name] == before[name] for name in GPU_HOSTS}
    early = site.provision("--skip-tags", "agent,caches")
    assert early.returncode == 0, early.output
    import_base_image(site.machines["gpu-1"])
    played = site.provision()
    assert played.returncode == 0, played.output
    (site.folder / "provisioned.txt").write_text(played.output)
    return site
