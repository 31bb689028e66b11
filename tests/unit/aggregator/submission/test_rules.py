"""What MLPerf's rules do not take gives no package, and every reason is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Suite

from ..helpers import HostRun, edit_json, edit_text, rehash_phases, reseal
from .conftest import Seal
from .official_runs import collect, reference_score, rescore
from .packages import DETAIL, OFFLINE, WHERE, lines, refused, told


class TestRules:
    @pytest.mark.parametrize(("ran", "asked"), [("v6.1", "v5.1"), ("v5.1", "v6.1")])
    def test_the_seeds_of_another_round(
        self, seal: Seal, tmp_path: Path, ran: str, asked: str
    ) -> None:
        run = collect(tmp_path / "results", [seal(round_name=ran)])
        findings = refused(run, round_name=asked)
        assert lines(findings) == [
            f"{WHERE}/phases/{scenario}-{mode}: run with the seeds of {ran}, not of {asked}"
            for scenario in ("offline", "server")
            for mode in ("performance", "accuracy", "test06")
        ]
        assert {item.todo for item in findings} == {
            f"package it with --round {ran}, if that is meant"
        }

    @pytest.mark.parametrize("division", ["closed", "open"])
    def test_a_short_run_without_a_model_on_made_up_articles(
        self, host_a: HostRun, tmp_path: Path, division: str
    ) -> None:
        run = collect(tmp_path / "results", [host_a])
        found = lines(refused(run, division=division))
        plan = "hosts/host-a/plan.json"
        for label in ("short", "synthetic-dataset", "null-engine"):
            assert f"{plan}: {label}, which the {division} division does not take" in found
        random = f"{plan}: random-weights, which the {division} division does not take"
        assert (random in found) is (division == "closed")
        scored = "hosts/host-a/phases/offline-accuracy/accuracy.txt: 16 samples scored, not 13368"
        assert scored in found

    @pytest.mark.parametrize(
        ("changes", "label"),
        [
            ({"model": {"source": "tiny"}}, "random-weights"),
            ({"engine": {"enable_prefix_caching": True}}, "prefix-caching"),
            ({"generation": {"max_tokens": 256}}, "output-limit-256"),
            ({"dataset": {"source": "synthetic"}}, "synthetic-dataset"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_run_with_a_label(
        self, seal: Seal, tmp_path: Path, changes: dict[str, Any], label: str
    ) -> None:
        run = collect(tmp_path / "results", [seal(**changes)])
        assert told(run) == f"{WHERE}/plan.json: {label}, which the closed division does not take"

    @pytest.mark.parametrize(
        ("ecc", "state"), [(False, "off"), (None, "not there, or not told by the driver")]
    )
    def test_ecc_that_is_off(self, run: Path, host: Path, ecc: bool | None, state: str) -> None:
        edit_json(host / "host.json", lambda facts: facts["gpus"][0].update(ecc_enabled=ecc))
        reseal(host)
        assert told(run) == f"{WHERE}/host.json: ECC of GPU 0 (NVIDIA A30) is {state}"

    def test_gpus_that_no_driver_told_of(self, run: Path, host: Path) -> None:
        edit_json(host / "host.json", lambda facts: facts.update(gpus=[]))
        reseal(host)
        unknown = ("accelerator_model_name", "accelerator_host_interconnect", "system_name")
        found = lines(refused(run))
        assert f"{WHERE}/host.json: 0 GPUs told by the driver, 1 used: nothing is known of " in (
            line.removesuffix("their ECC") for line in found
        )
        for name in unknown:
            assert any(line.startswith(f"hosts.gpu-01.{name}: missing") for line in found)

    def test_a_host_that_changed_during_the_run(self, run: Path, host: Path) -> None:
        change = "nvidia_driver: 580.1 -> 580.2"
        edit_json(host / "result.json", lambda result: result.update(changed_facts=[change]))
        reseal(host)
        assert told(run) == f"{WHERE}/host.json: the host changed during the run: {change}"

    def test_phases_that_ran_differently(self, run: Path, host: Path) -> None:
        other = "d" * 64

        def change(result: Any) -> None:
            result["phases"][1]["configuration_sha256"] = other

        edit_json(host / "result.json", change)
        reseal(host)
        assert told(run) == (
            f"{WHERE}/result.json: same-configuration: offline-accuracy ran as dddddddddddd, "
            "required cccccccccccc, as offline-performance"
        )

    def test_a_run_that_loadgen_found_invalid(self, run: Path, host: Path) -> None:
        for name, text in (
            (DETAIL, '"value": "{}"'),
            (f"{OFFLINE}/mlperf_log_summary.txt", "is : {}"),
        ):
            edit_text(host / name, text.format("VALID"), text.format("INVALID"))
        edit_json(
            host / "result.json",
            lambda result: result["phases"][0]["loadgen"].update(valid=False),
        )
        rehash_phases(host)
        reseal(host)
        (finding,) = refused(run)
        assert finding.where == f"{WHERE}/{OFFLINE}"
        assert finding.what.startswith("loadgen-valid: INVALID")
        assert "target_qps" in finding.todo


class TestAccuracyBelowItsTarget:
    @pytest.fixture
    def low(self, run: Path, host: Path) -> Path:
        rescore(host, reference_score(Suite.DATACENTER).model_copy(update={"rouge2": 15.7}))
        return run

    def test_is_refused(self, low: Path) -> None:
        (finding,) = refused(low)
        assert finding.where == f"{WHERE}/phases/offline-accuracy/accuracy.txt"
        assert finding.what == "accuracy below MLPerf's target: rouge2 15.7000 below 15.7484"
        assert finding.rehearsable

    def test_is_all_that_a_rehearsal_may_have(self, low: Path) -> None:
        edit_json(low / "hosts/gpu-01/result.json", lambda r: r.update(changed_facts=["boot_id"]))
        reseal(low / "hosts/gpu-01")
        assert told(low, rehearsal=True).endswith("changed during the run: boot_id")

    def test_of_too_few_samples_is_refused_in_a_rehearsal_too(self, run: Path, host: Path) -> None:
        rescore(host, reference_score(Suite.DATACENTER).model_copy(update={"gen_num": 13_367}))
        assert told(run, rehearsal=True).endswith("13367 samples scored, not 13368")
