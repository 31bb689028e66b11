"""Is a provisioned host fit for the benchmark? For users, on their own hosts:

    pytest tests/acceptance --hosts='ansible://gpu_hosts' --ansible-inventory=inventory/

Asks the hosts, changes nothing (a container is run and removed). Ends with one line a reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REASONS = pytest.StashKey[dict[str, list[str]]]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without --hosts there is no host to ask: other test runs leave this folder out."""
    if collection_path.name.startswith("test_") and not config.getoption("hosts", None):
        return True
    return None


class Expected:
    """What a host was provisioned with: its inventory variables over the roles' defaults."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        if name in self._variables:
            return self._variables[name]
        for path in (ROOT / "roles").glob("*/defaults/main.yml"):
            defaults = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if name in defaults:
                return defaults[name]
        return None

    @property
    def home(self) -> str:
        """The agent's data folder."""
        return str(self._variables.get("loadfleet_home", "/var/lib/loadfleet"))

    @property
    def model(self) -> dict[str, str]:
        """The model of the inventory, {} if none is set."""
        return dict(self._variables.get("loadfleet_model", {}))

    @property
    def runtime(self) -> str:
        """venv or container."""
        return str(self._variables.get("loadfleet_runtime", "venv"))


@pytest.fixture(scope="module")
def expected(host: Any) -> Expected:
    """What this host was provisioned with."""
    return Expected(dict(host.ansible.get_variables()))


@pytest.fixture(scope="module")
def gpus(host: Any) -> list[dict[str, str]]:
    """Each GPU of the host by nvidia-smi's names."""
    fields = (
        "index,uuid,name,driver_version,persistence_mode,mig.mode.current,mig.mode.pending,"
        "ecc.mode.current,ecc.mode.pending,power.limit,power.default_limit"
    )
    done = host.run(f"nvidia-smi --query-gpu={fields} --format=csv,noheader,nounits")
    require(done.rc == 0, f"nvidia-smi fails: {' '.join((done.stdout + done.stderr).split())}")
    rows = [line.split(", ") for line in done.stdout.strip().splitlines()]
    return [dict(zip(fields.split(","), row, strict=True)) for row in rows]


def require(condition: bool, reason: str) -> None:
    """Fails the test with a reason of one line."""
    if not condition:
        pytest.fail(reason, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    report = yield
    host = getattr(item, "callspec", None)
    if host is not None and "_testinfra_host" in host.params:
        name = host.params["_testinfra_host"].backend.host
        reasons = item.config.stash.setdefault(REASONS, {}).setdefault(name, [])
        if report.failed and call.excinfo is not None:
            reason = str(call.excinfo.value).splitlines()[0]
            if reason not in reasons:  # one broken fixture fails many tests
                reasons.append(reason)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line for each reason, and one for each host that is fit."""
    found = config.stash.get(REASONS, {})
    if found:
        terminalreporter.section("fit for the benchmark?")
    for name, reasons in sorted(found.items()):
        for reason in reasons or ["fit"]:
            terminalreporter.line(f"{name}: {'' if reason == 'fit' else 'not fit: '}{reason}")
