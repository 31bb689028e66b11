"""A run of three hosts, of which the middle one is hostile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.run_folder import HOST_FACTS, TELEMETRY
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS, ControllerNote
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport, HostReport
from loadfleet_aggregator.report.render import write_reports

from ..helpers import CREATED, HostRun, make_run, reseal
from ..report.gpu_hosts import gpu_host
from ..submission.official_runs import STARTED

HOSTILE = "gpu-b"
UNFIT = "<script>alert(1)</script>"
"""Of a host that is in the inventory and was not selected."""
FILES = ("report.json", "report.html", "report.md", "hosts.csv")


@dataclass(frozen=True)
class Fleet:
    """A run's folder on the controller."""

    folder: Path
    honest: FleetReport
    """The report of it while all hosts are honest."""

    @property
    def hostile(self) -> Path:
        return self.folder / HOSTS / HOSTILE

    def report(self) -> FleetReport:
        """Of the folder as it is now, with all its renderings written and read again."""
        report = build_report(self.folder)
        write_reports(report, self.folder)
        assert FleetReport.model_validate_json((self.folder / FILES[0]).read_bytes()) == report
        return report

    def host(self, report: FleetReport) -> HostReport:
        (found,) = (host for host in report.hosts if host.name == HOSTILE)
        return found

    def assert_others_unharmed(self, report: FleetReport) -> None:
        """Numbers, verdicts and all else of the honest hosts are as if the other were honest.

        But for what two hosts say together: that they are one machine.
        """
        for before, after in zip(self.honest.hosts, report.hosts, strict=True):
            if before.name != HOSTILE:
                assert after.model_copy(update={"shares_machine_with": ()}) == before


@pytest.fixture(scope="session")
def gpu_hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HostRun]:
    """Three sealed hosts with GPUs, LoadGen's logs of 600 s and telemetry."""
    folder = tmp_path_factory.mktemp("gpu-hosts")
    runs = {}
    for name in ("gpu-a", HOSTILE, "gpu-c"):
        run = gpu_host(folder / name, name)
        (run.folder / TELEMETRY).write_text(_telemetry(), encoding="utf-8")
        reseal(run.folder)
        runs[name] = run
    return runs


def _telemetry() -> str:
    """A sample a minute over the hour that the saved phases are said to have taken."""
    return "".join(
        json.dumps(
            {
                "at_utc": (STARTED + timedelta(minutes=minute)).isoformat(),
                "cpu_percent": 10.0,
                "memory_used_mib": 4000,
                "gpus": [{"power_w": 400, "sm_clock_mhz": 1700, "throttle_reasons": 0}],
            }
        )
        + "\n"
        for minute in range(61)
    )


@pytest.fixture(scope="session")
def three(gpu_hosts: dict[str, HostRun], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = make_run(tmp_path_factory.mktemp("results"), gpu_hosts.values(), inventory=[UNFIT])
    assert json.loads((folder / HOSTS / HOSTILE / HOST_FACTS).read_bytes())["gpus"]
    return Fleet(folder, build_report(folder))


@pytest.fixture
def restore(three: Fleet, gpu_hosts: dict[str, HostRun]) -> Callable[[], Fleet]:
    """Gives the fleet with the hostile host's folder as an honest one would have sent it."""

    def fresh() -> Fleet:
        shutil.rmtree(three.hostile, ignore_errors=True)
        gpu_hosts[HOSTILE].copy_to(three.hostile)
        return three

    return fresh


@pytest.fixture(scope="session")
def _noted(three: Fleet) -> None:
    """The controller has noted each host's outcome three hours after the run was made."""
    (three.folder / CONTROLLER).mkdir()
    for host in three.honest.hosts:
        if host.name == UNFIT:
            continue
        note = ControllerNote(
            host=host.name, state="collected", step="", message="",
            noted_utc=CREATED + timedelta(hours=3),
        )  # fmt: skip
        write_model(three.folder / CONTROLLER / f"{host.name}.json", note)


@pytest.fixture
def collected(_noted: None) -> None:
    """Hosts whose outcome has been noted."""
