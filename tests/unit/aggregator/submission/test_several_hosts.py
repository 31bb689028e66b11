"""Several hosts in one package are systems of their own that ran the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from loadfleet_agent.contract.host import HostFacts

from ..helpers import edit_json, reseal
from .conftest import Seal
from .official_runs import collect
from .packages import lines, refused, submit, told


def _change_weights(host: Path) -> None:
    edit_json(host / "result.json", lambda result: result["model"].update(weights_sha256="f" * 64))


def _change_version(host: Path) -> None:
    edit_json(host / "host.json", lambda facts: facts["packages"].update(vllm="0.31.0"))


def _change_dataset(host: Path) -> None:
    edit_json(
        host / "result.json", lambda result: result["dataset"].update(library_sha256="f" * 64)
    )


class TestSeveralHosts:
    @pytest.fixture
    def two(self, seal: Seal, tmp_path: Path) -> Path:
        return collect(tmp_path / "results", [seal("gpu-01"), seal("gpu-02")], inventory=["gpu-03"])

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (_change_weights, "weights: 0123456789ab on gpu-01; ffffffffffff on gpu-02"),
            (_change_version, "package vllm: 0.31.0 on gpu-02; 0.32.0 on gpu-01"),
            (_change_dataset, "dataset: 0123456789ab on gpu-01; ffffffffffff on gpu-02"),
        ],
    )
    def test_that_did_not_run_the_same(
        self, two: Path, change: Callable[[Path], None], what: str
    ) -> None:
        change(two / "hosts/gpu-02")
        reseal(two / "hosts/gpu-02")
        assert told(two) == f"hosts: they did not run the same: {what}"
        assert submit(two, hosts=("gpu-02",)).systems == ("gpu-02",)

    def test_that_are_one_machine(self, two: Path) -> None:
        first = HostFacts.model_validate_json((two / "hosts/gpu-01/host.json").read_bytes())
        path = two / "hosts/gpu-02/host.json"
        edit_json(path, lambda facts: facts.update(machine_id=first.machine_id))
        reseal(two / "hosts/gpu-02")
        assert told(two).startswith("gpu-01, gpu-02: one machine under several names")

    def test_of_which_one_is_wrong_in_two_ways_and_one_in_a_third(self, two: Path) -> None:
        edit_json(two / "hosts/gpu-01/host.json", lambda f: f["gpus"][0].update(ecc_enabled=False))
        (two / "hosts/gpu-01/phases/offline-accuracy/mlperf_log_accuracy.json").unlink()
        (two / "hosts/gpu-01/manifest.json").unlink()
        (two / "hosts/gpu-02/phases/server-accuracy/mlperf_log_accuracy.json").unlink()
        assert [line.partition(": ")[0] for line in lines(refused(two))] == [
            "hosts/gpu-01/manifest.json",
            "hosts/gpu-02/phases/server-accuracy/mlperf_log_accuracy.json",
        ]

    def test_that_are_not_of_the_run(self, two: Path) -> None:
        found = lines(refused(two, hosts=("gpu-03", "gpu-04")))
        assert found == [
            "--host gpu-03: took no part in the run",
            "--host gpu-04: took no part in the run",
        ]
