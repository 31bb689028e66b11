"""Docker, toolkit, image, model and dataset: there, or missed with what brings it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..helpers import load_plugin

IMAGE = f"sha256:{'a' * 64}"
Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Runs the module on a host with these programs; ``program`` is what docker does."""
    module = load_plugin("run_preflight", "modules")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(module, "UNIT", tmp_path / "unit")
    monkeypatch.setattr(module, "SPECS", (str(tmp_path / "nvidia.y*ml"),))

    def run(
        program: str | None = None, *, toolkit: bool = True, spec: bool = True, unit: str = IMAGE,
        **params: Any,
    ) -> dict[str, Any]:  # fmt: skip
        for name, text in (("docker", program), ("nvidia-ctk", "true" if toolkit else None)):
            if text is not None:
                (programs / name).write_text(f"#!/bin/sh\n{text}\n")
                (programs / name).chmod(0o755)
        if spec:
            (tmp_path / "nvidia.yaml").touch()
        if unit:
            (tmp_path / "unit").write_text(f"ExecStart=docker run {unit}\n")
        checks = module.RunPreflight({"docker": True, "gpus": True, "files": []} | params)
        checks.findings.run(
            (name, getattr(checks, name)) for name in ("docker", "toolkit", "image", "files")
        )
        result: dict[str, Any] = checks.findings.result
        return result

    return run


def answers(version: str = "29.8.2") -> str:
    return f'case $1 in info) echo \'{{"ServerVersion": "{version}"}}\';; *) true;; esac'


def causes(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["check"], item["cause"]) for item in result["findings"]]


def test_a_ready_host_passes(look: Look) -> None:
    result = look(answers())
    assert result["findings"] == []
    assert result["passed"]["docker"] == "Docker 29.8.2"
    assert set(result["passed"]) == {"docker", "toolkit", "image"}


def test_a_venv_needs_none_of_it(look: Look) -> None:
    assert look(None, docker=False)["findings"] == []


def test_without_docker_the_other_way_is_named(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (finding,) = look(None)["findings"]
    assert finding["cause"] == "docker is not installed"
    assert "loadfleet_runtime: venv" in finding["remedy"]


def test_a_docker_that_does_not_answer_is_told_in_its_own_words(look: Look) -> None:
    (found,) = causes(look("echo 'Cannot connect to the Docker daemon' >&2; exit 1"))
    assert found == ("docker", "docker does not answer: Cannot connect to the Docker daemon")


def test_a_docker_without_cdi_is_too_old(look: Look) -> None:
    (found,) = causes(look(answers("20.10.24")))
    assert found == ("docker", "Docker 20.10.24 does not know CDI, 25 or newer does")
    assert look(answers("20.10.24"), gpus=False)["findings"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"toolkit": False}, "NVIDIA's container toolkit is not installed"),
        ({"spec": False}, "no CDI specification names the GPUs to Docker"),
    ],
)
def test_gpus_that_no_container_gets_are_missed(
    look: Look, options: dict[str, bool], said: str
) -> None:
    assert causes(look(answers(), **options)) == [("toolkit", said)]


def test_an_image_that_is_to_come_is_a_warning_and_one_that_is_gone_an_error(look: Look) -> None:
    (finding,) = look(answers(), unit="")["findings"]
    assert (finding["check"], finding["severity"]) == ("image", "warning")
    gone = answers().replace("*) true", "*) false")
    (finding,) = look(gone)["findings"]
    assert (finding["check"], finding["severity"]) == ("image", "error")


def test_one_of_several_places_of_a_file_will_do(look: Look, tmp_path: Path) -> None:
    entry = {
        "check": "model",
        "what": "model org/name",
        "any": [str(tmp_path / "nowhere"), str(tmp_path / "cache" / "verified-*.json")],
        "remedy": "bring it",
    }
    missed = look(docker=False, files=[entry])
    assert causes(missed) == [("model", "model org/name is not here")]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "verified-1.json").touch()
    found = look(docker=False, files=[entry])
    assert found["findings"] == []
    assert found["passed"]["model"].endswith("verified-1.json")
