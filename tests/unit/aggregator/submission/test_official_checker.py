"""MLCommons' own submission checker over our packages, where its source is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Scenario, Suite
from submission_check import SOURCE, check_package

from .conftest import ALL, Seal
from .official_runs import collect, reference_score, rescore
from .packages import SUBMITTER, submit

pytestmark = pytest.mark.skipif(SOURCE not in os.environ, reason=f"{SOURCE} is not set")


def check(package: Path, round_name: str, tmp_path: Path) -> tuple[int, str]:
    return check_package(package, round_name, SUBMITTER, tmp_path / "summary.csv")


@pytest.mark.parametrize("round_name", ["v6.1", "v5.1"])
@pytest.mark.parametrize("suite", Suite)
def test_a_closed_package_looks_ok(
    seal: Seal, tmp_path: Path, round_name: str, suite: Suite
) -> None:
    host = seal(suite=suite, round_name=round_name, scenarios=ALL[suite])
    made = submit(collect(tmp_path / "results", [host]), round_name=round_name)
    code, said = check(made.folder, round_name, tmp_path)
    assert code == 0, said
    assert "submission looks OK" in said
    assert f"Results={len(ALL[suite])}, NoResults=0" in said


def test_an_open_package_looks_ok(seal: Seal, tmp_path: Path) -> None:
    host = seal(scenarios=[Scenario.OFFLINE], modes=["performance", "accuracy"])
    made = submit(collect(tmp_path / "results", [host]), division="open")
    code, said = check(made.folder, "v6.1", tmp_path)
    assert code == 0, said
    assert "submission looks OK" in said


def test_in_a_rehearsal_the_accuracy_is_all_that_it_finds(run: Path, tmp_path: Path) -> None:
    low = reference_score(Suite.DATACENTER).model_copy(update={"rouge1": 12.5})
    rescore(run / "hosts/gpu-01", low)
    made = submit(run, rehearsal=True)
    code, said = check(made.folder, "v6.1", tmp_path)
    assert code == 1
    assert "accuracy not met: expected=38.391408, found=12.5" in said
    errors = [line for line in said.splitlines() if " ERROR]" in line]
    assert errors
    for line in errors:
        assert (
            "Some accuracy checks Checks failed" in line
            or "NoResults" in line
            or "submission has errors" in line
        ), line
