"""What is installed on a host, from its variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.plan import Runtime
from loadfleet_agent.contract.settings import SettingsError
from loadfleet_aggregator.fleet.settings import deployment


@pytest.mark.parametrize(
    ("variables", "runtime", "build"),
    [
        ({}, Runtime.VENV, "cuda"),
        ({"loadfleet_profile": "cpu-smoke"}, Runtime.VENV, "cpu"),
        ({"loadfleet_profile": "null-engine"}, Runtime.VENV, "image"),
        (
            {"loadfleet_profile": "cpu-smoke", "loadfleet_engine": {"kind": "null"}},
            Runtime.VENV,
            "image",
        ),
        (
            {"loadfleet_profile": "null-engine", "loadfleet_engine": {"kind": "vllm"}},
            Runtime.VENV,
            "cpu",
        ),
        ({"loadfleet_runtime": "container"}, Runtime.CONTAINER, "client"),
        (
            {"loadfleet_runtime": "container", "loadfleet_profile": "cpu-smoke"},
            Runtime.CONTAINER,
            "client",
        ),
    ],
)
def test_follows_from_profile_and_runtime(
    variables: dict[str, Any], runtime: Runtime, build: str, tmp_path: Path
) -> None:
    found = deployment(variables, tmp_path)
    assert (found.runtime, found.build) == (runtime, build)


def test_a_profile_file_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("description: mine\nbuild: cpu\n", encoding="utf-8")
    assert deployment({"loadfleet_profile": "mine.yaml"}, tmp_path).build == "cpu"


@pytest.mark.parametrize(
    ("variables", "key"),
    [({"loadfleet_runtime": "podman"}, "runtime"), ({"loadfleet_profile": "a40"}, "profile")],
)
def test_what_is_wrong_is_named(variables: dict[str, str], key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        deployment(variables, tmp_path)
    assert error.value.key == key
