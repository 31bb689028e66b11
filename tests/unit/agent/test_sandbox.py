"""What a unit in a virtual environment may read and write; systemd holds it in tests/fleet."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.host.owner import Owner
from loadfleet_agent.sandbox import PROPERTIES, Sandbox, read_paths

HOME = Path("/var/lib/loadfleet")
RUN = HOME / "runs" / "r1"


def properties(**changes: object) -> dict[str, list[str]]:
    values = {"home": HOME, "folder": RUN, "owner": Owner(990, 991), "reads": ()} | changes
    found: dict[str, list[str]] = {}
    for item in Sandbox(**values).properties():  # type: ignore[arg-type]
        name, _, value = item.partition("=")
        found.setdefault(name, []).append(value)
    return found


def plan(**settings: object) -> RunPlan:
    given = {"profile": "null-engine", "dataset": {"source": "synthetic"}} | settings
    return resolve_plan(parse_settings(given), run_id="r1", host="h")


def test_it_runs_as_the_owner_without_any_right() -> None:
    found = properties()
    assert (found["User"], found["Group"]) == (["990"], ["991"])
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == [""]
    assert found["NoNewPrivileges"] == ["yes"]
    assert "User" not in properties(owner=None)  # root by hand, and none of its rights either


def test_it_writes_to_its_run_and_the_cache_alone() -> None:
    found = properties()
    assert found["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in found
    assert found["BindReadOnlyPaths"][0] == f'-"{HOME}"'
    assert found["BindPaths"] == [
        f'-"{path}"'
        for path in (RUN, HOME / "cache", HOME / "run.lock", Path("/run/lock/loadfleet"))
    ]


@pytest.mark.parametrize(("path", "is_given"), [("/root/model", True), ("/srv/model", False)])
def test_a_model_in_a_folder_that_is_emptied_is_given(path: str, *, is_given: bool) -> None:
    reads = read_paths(plan(model={"source": "path", "path": path}))
    assert reads == (Path(path),)
    assert (f'-"{path}"' in properties(reads=reads)["BindReadOnlyPaths"]) == is_given


def test_a_python_in_a_users_home_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/user/venv")
    assert '-"/home/user/venv"' in properties()["BindReadOnlyPaths"]


def test_paths_are_no_syntax_of_systemds() -> None:
    odd = Path('/tmp/a b:c"d%i')
    assert r'-"/tmp/a b\:c\"d%%i"' in properties(reads=(odd,))["BindReadOnlyPaths"]


def test_datasets_of_the_plan_are_read() -> None:
    chain = [
        {"source": "mlcommons", "folder": "/data/mlcommons"},
        {"source": "file", "path": "/data/file.json"},
        {"source": "rebuilt", "path": "/data/rebuilt"},
        {"source": "synthetic"},
    ]
    assert read_paths(plan(model={"source": "tiny"}, dataset=chain)) == (
        Path("/data/mlcommons"),
        Path("/data/file.json"),
        Path("/data/rebuilt"),
    )


def test_a_copy_of_mmlu_is_read() -> None:
    asked = plan(
        model={"source": "tiny"},
        benchmarks=["mmlu"],
        mmlu_tasks=["mmlu", "mmlu_llama"],
        mmlu_data={"source": "path", "path": "/data/mmlu"},
    )
    assert set(read_paths(asked)) == {Path("/data/mmlu")}


def test_each_property_is_there_once_but_for_lists() -> None:
    names = [item.partition("=")[0] for item in PROPERTIES]
    assert {name for name in names if names.count(name) > 1} == {"SystemCallFilter"}
