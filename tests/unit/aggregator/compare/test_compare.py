"""Two runs are compared host by host, like with like, and a lost host is a loss."""

from __future__ import annotations

import random

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.compare.build import Incomparable, compare_runs
from loadfleet_aggregator.compare.model import Comparison, Outcome, ScenarioComparison
from loadfleet_aggregator.report.metric import Metric
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.verdict import Verdict, VerdictKind

from ..fleets import changed_host, fleet_of, lost, rouge, single_stream, without

SAME = dict.fromkeys(("a", "b", "c", "d"), 1.0)


def scenario(comparison: Comparison, name: Scenario) -> ScenarioComparison:
    (found,) = (item for item in comparison.scenarios if item.scenario is name)
    return found


def random_fleet(report: FleetReport, seed: int) -> FleetReport:
    source = random.Random(seed)
    return fleet_of(report, {name: source.uniform(0.9, 1.1) for name in SAME})


@pytest.fixture
def old(one_host: FleetReport) -> FleetReport:
    return fleet_of(one_host, SAME)


class TestOutcome:
    def test_of_a_run_with_itself_is_a_pass(self, old: FleetReport) -> None:
        found = compare_runs(old, old)
        assert (found.outcome, found.findings) == (Outcome.PASS, ())
        assert [item.scenario.value for item in found.scenarios] == ["Offline", "Server"]
        assert all(item.result.ratio == 1 for item in found.scenarios)
        assert found.changed == ()

    @pytest.mark.parametrize("seed", range(5))
    def test_of_a_run_with_itself_never_fails(self, one_host: FleetReport, seed: int) -> None:
        report = random_fleet(one_host, seed)
        assert compare_runs(report, report, 0.0).outcome is Outcome.PASS

    def test_of_a_single_host_is_inconclusive(self, one_host: FleetReport) -> None:
        found = compare_runs(one_host, fleet_of(one_host, {"gpu-01": 0.5}))
        assert found.outcome is Outcome.INCONCLUSIVE
        assert scenario(found, Scenario.OFFLINE).result.ratio == pytest.approx(0.5)
        assert scenario(found, Scenario.OFFLINE).result.interval is None
        assert "no interval" in found.headline

    def test_of_a_slower_fleet_fails(self, old: FleetReport, one_host: FleetReport) -> None:
        slow = fleet_of(one_host, {"a": 0.9, "b": 0.91, "c": 0.89, "d": 0.9})
        found = compare_runs(old, slow)
        assert found.outcome is Outcome.FAIL
        assert [item.outcome for item in found.scenarios] == [Outcome.FAIL, Outcome.FAIL]
        assert found.headline.startswith("fail: Offline tokens/s -10.0 % on 4 hosts")
        offline = scenario(found, Scenario.OFFLINE)
        assert [item.host for item in offline.result.hosts] == ["c", "a", "d", "b"]
        assert compare_runs(old, slow, 0.2).outcome is Outcome.PASS

    def test_of_one_slow_host_is_not_a_loss_of_the_fleet(
        self, old: FleetReport, one_host: FleetReport
    ) -> None:
        found = compare_runs(old, fleet_of(one_host, SAME | {"b": 0.8}))
        assert found.outcome is Outcome.INCONCLUSIVE
        worst, *others = scenario(found, Scenario.SERVER).result.hosts
        assert (worst.host, worst.ratio, worst.interval) == ("b", pytest.approx(0.8), None)
        assert all(item.ratio == 1 for item in others)

    def test_shows_token_latencies_without_a_verdict(
        self, old: FleetReport, one_host: FleetReport
    ) -> None:
        slow = fleet_of(one_host, dict.fromkeys(SAME, 0.5))
        slow = slow.model_copy(
            update={
                "hosts": tuple(
                    host.model_copy(
                        update={
                            "phases": tuple(
                                phase.model_copy(
                                    update={"tokens_per_second": before.tokens_per_second}
                                )
                                for phase, before in zip(
                                    host.phases, one_host.hosts[0].phases, strict=True
                                )
                            )
                        }
                    )
                    for host in slow.hosts
                )
            }
        )
        found = compare_runs(old, slow)
        assert found.outcome is Outcome.PASS
        shown = scenario(found, Scenario.SERVER).shown
        assert [item.metric for item in shown] == [Metric.TTFT_P99, Metric.TPOT_P99]
        assert [item.ratio for item in shown] == pytest.approx([2, 2], rel=1e-6)
        assert scenario(found, Scenario.OFFLINE).shown == ()

    def test_of_a_single_stream_is_by_its_latency(
        self, old: FleetReport, one_host: FleetReport
    ) -> None:
        slow = fleet_of(one_host, dict.fromkeys(SAME, 0.9))
        found = compare_runs(single_stream(old), single_stream(slow))
        (item,) = found.scenarios
        assert item.result.metric is Metric.LATENCY_P90
        assert item.result.ratio == pytest.approx(1 / 0.9, rel=1e-6)
        assert item.limit_ratio == pytest.approx(1.03)
        assert found.outcome is Outcome.FAIL
        assert compare_runs(single_stream(slow), single_stream(old)).outcome is Outcome.PASS

    @pytest.mark.parametrize("seed", range(5))
    def test_does_not_depend_on_the_order_of_hosts(self, one_host: FleetReport, seed: int) -> None:
        before, after = random_fleet(one_host, seed), random_fleet(one_host, seed + 100)
        turned = after.model_copy(update={"hosts": after.hosts[::-1]})
        assert compare_runs(before, turned) == compare_runs(before, after)

    @pytest.mark.parametrize("seed", range(5))
    def test_swapped_inverts_every_ratio(self, one_host: FleetReport, seed: int) -> None:
        before, after = random_fleet(one_host, seed), random_fleet(one_host, seed + 100)
        there, back = compare_runs(before, after), compare_runs(after, before)
        for one, other in zip(there.scenarios, back.scenarios, strict=True):
            for left, right in zip(
                (one.result, *one.shown), (other.result, *other.shown), strict=True
            ):
                assert left.ratio is not None
                assert right.ratio == pytest.approx(1 / left.ratio)


class TestHosts:
    def test_that_failed_are_a_failure_with_the_reason(self, old: FleetReport) -> None:
        found = compare_runs(old, lost(old, "b"))
        assert found.outcome is Outcome.FAIL
        assert found.findings[0].what.startswith("b was ok, is failed at load because no memory")
        assert [item.host for item in found.hosts if item.lost] == ["b"]
        assert len(scenario(found, Scenario.OFFLINE).result.hosts) == 3
        assert "not compared, for the new run has no valid run of it: b" in (
            scenario(found, Scenario.OFFLINE).notes
        )

    def test_that_are_not_there_are_a_failure(
        self, old: FleetReport, one_host: FleetReport
    ) -> None:
        found = compare_runs(old, fleet_of(one_host, {"a": 1, "b": 1, "new": 1}))
        assert found.outcome is Outcome.FAIL
        assert [item.host for item in found.hosts if item.lost] == ["c", "d"]
        assert found.findings[0].what == "c was ok, is not in the inventory of the new run"
        assert [item.host for item in found.hosts if item.old is None] == ["new"]

    def test_that_are_new_or_were_not_ok_are_no_failure(self, old: FleetReport) -> None:
        assert compare_runs(lost(old, "b"), old).outcome is Outcome.PASS

    def test_that_were_not_valid_are_not_paired(self, old: FleetReport) -> None:
        unfit = Verdict(kind=VerdictKind.NOT_VALID, reason="loadgen-valid")
        (offline, server) = old.hosts[1].phases
        bad = server.model_copy(update={"valid": False})
        before = changed_host(old, "b", verdict=unfit, phases=(offline, bad))
        found = compare_runs(before, old)
        assert found.outcome is Outcome.PASS
        assert len(scenario(found, Scenario.OFFLINE).result.hosts) == 4
        assert len(scenario(found, Scenario.SERVER).result.hosts) == 3

    def test_with_different_plans_are_said_to_be_not_comparable_with_one_another(
        self, old: FleetReport
    ) -> None:
        plans = old.plans | {"B": next(iter(old.plans.values()))}
        mixed = changed_host(old, "a", group="B").model_copy(update={"plans": plans})
        (note,) = scenario(compare_runs(mixed, mixed), Scenario.OFFLINE).notes
        assert note.startswith("hosts of the groups A, B ran different plans")
        assert "not comparable" in note

    def test_that_share_a_machine_are_compared_and_named(self, old: FleetReport) -> None:
        shared = changed_host(old, "a", shares_machine_with=("b",))
        shared = changed_host(shared, "b", shares_machine_with=("a",))
        (note,) = scenario(compare_runs(old, shared), Scenario.OFFLINE).notes
        assert note.startswith("a, b share a machine")
        assert len(scenario(compare_runs(old, shared), Scenario.OFFLINE).result.hosts) == 4


class TestAccuracy:
    @pytest.mark.parametrize(
        ("after", "outcome", "words"),
        [
            (rouge(True), Outcome.PASS, "passed"),
            (rouge(False, "rouge1 30 below 38"), Outcome.FAIL, "rouge1 30 below 38"),
            (rouge(None, "not applicable: x"), Outcome.FAIL, "not applicable: x"),
            ((), Outcome.INCONCLUSIVE, "not measured"),
        ],
        ids=["passed", "below", "not applicable", "not measured"],
    )
    def test_that_does_not_pass_any_more_is_said(
        self, old: FleetReport, after: object, outcome: Outcome, words: str
    ) -> None:
        before = changed_host(old, "a", accuracy=rouge(True))
        found = compare_runs(before, changed_host(old, "a", accuracy=after))
        assert found.outcome is outcome
        (item,) = found.accuracy
        assert (item.old, item.new, item.lost) == ("passed", words, outcome is not Outcome.PASS)
        if item.lost:
            assert any("a Offline accuracy passed" in finding.what for finding in found.findings)

    def test_that_never_passed_is_no_loss(self, old: FleetReport) -> None:
        before = changed_host(old, "a", accuracy=rouge(None, "not applicable: short"))
        assert compare_runs(before, old).outcome is Outcome.PASS


class TestIncomparable:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"labels": ("synthetic-dataset",)}, "labels none and labels synthetic-dataset"),
            ({"labels": ("random-weights", "performance-only")}, "labels random-weights"),
        ],
        ids=str,
    )
    def test_labels_are_refused(
        self, old: FleetReport, changes: dict[str, object], words: str
    ) -> None:
        with pytest.raises(Incomparable, match="b ran labels none and labels"):
            compare_runs(old, changed_host(old, "b", **changes))

    def test_samples_models_and_tokenizers_are_refused(self, old: FleetReport) -> None:
        host = old.hosts[0]
        assert host.dataset
        assert host.model
        other = "f" * 64
        for changes, words in (
            ({"dataset": host.dataset.model_copy(update={"library_sha256": other})}, "samples of"),
            ({"model": host.model.model_copy(update={"weights_sha256": other})}, "model"),
            ({"model": host.model.model_copy(update={"tokenizer_sha256": other})}, "tokenizer"),
        ):
            with pytest.raises(Incomparable, match=words):
                compare_runs(old, changed_host(old, "a", **changes))

    def test_a_model_under_another_name_is_the_same_model(self, old: FleetReport) -> None:
        model = old.hosts[0].model
        assert model
        renamed = model.model_copy(update={"name": "/data/llama", "weights_sha256": "a" * 64})
        named = model.model_copy(update={"weights_sha256": "a" * 64})
        before = changed_host(old, "a", model=named)
        assert compare_runs(before, changed_host(old, "a", model=renamed)).outcome is Outcome.PASS

    def test_another_suite_is_refused(self, old: FleetReport) -> None:
        plans = {group: plan | {"suite": "edge"} for group, plan in old.plans.items()}
        with pytest.raises(Incomparable, match="the datacenter suite and the edge suite"):
            compare_runs(old, old.model_copy(update={"plans": plans}))

    def test_fleets_without_a_common_host_are_still_looked_at(
        self, old: FleetReport, one_host: FleetReport
    ) -> None:
        other = changed_host(fleet_of(one_host, {"x": 1}), "x", labels=("short",))
        with pytest.raises(Incomparable, match="labels none and labels short"):
            compare_runs(old, other)
        assert compare_runs(old, fleet_of(one_host, {"x": 1})).outcome is Outcome.FAIL

    def test_runs_without_a_common_scenario_are_refused(self, old: FleetReport) -> None:
        with pytest.raises(Incomparable, match="no scenario in common: Server and Offline"):
            compare_runs(without(old, Scenario.OFFLINE), without(old, Scenario.SERVER))

    def test_a_scenario_that_is_gone_leaves_it_open_and_a_new_one_does_not(
        self, old: FleetReport
    ) -> None:
        less = without(old, Scenario.SERVER)
        found = compare_runs(old, less)
        assert found.outcome is Outcome.INCONCLUSIVE
        assert found.only_in_old == (Scenario.SERVER,)
        back = compare_runs(less, old)
        assert (back.outcome, back.only_in_new) == (Outcome.PASS, (Scenario.SERVER,))


class TestChanged:
    def test_has_settings_versions_and_facts_with_their_hosts(self, old: FleetReport) -> None:
        host = old.hosts[0]
        assert host.engine
        plans = {
            group: plan | {"generation": {"max_tokens": 64, "min_tokens": 1}}
            for group, plan in old.plans.items()
        }
        engine = host.engine.model_copy(
            update={"settings": host.engine.settings | {"max_num_seqs": 64}}
        )
        new = old.model_copy(update={"plans": plans})
        new = changed_host(new, "a", facts=host.facts | {"nvidia_driver": "999"}, engine=engine)
        found = {item.name: item for item in compare_runs(old, new).changed}
        assert set(found) == {
            "engine: max_num_seqs",
            "host: nvidia_driver",
            "plan: generation.max_tokens",
        }
        assert (found["engine: max_num_seqs"].old, found["engine: max_num_seqs"].new) == (
            "512",
            "64",
        )
        assert found["host: nvidia_driver"].hosts == ("a",)
        assert found["plan: generation.max_tokens"].hosts == ("a", "b", "c", "d")

    def test_has_what_one_run_lacks_but_not_what_a_failed_host_did_not_tell(
        self, old: FleetReport
    ) -> None:
        facts = {key: value for key, value in old.hosts[0].facts.items() if key != "kernel"}
        (item,) = compare_runs(old, changed_host(old, "a", facts=facts)).changed
        assert (item.name, item.new, item.hosts) == ("host: kernel", "none", ("a",))
        assert compare_runs(old, lost(old, "b")).changed == ()

    def test_has_another_gpu_and_not_another_start_of_the_host(self, old: FleetReport) -> None:
        facts = old.hosts[0].facts | {"boot_id": "another", "gpu 0 uuid": "GPU-other"}
        (item,) = compare_runs(old, changed_host(old, "a", facts=facts)).changed
        assert (item.name, item.new) == ("host: gpu 0 uuid", "GPU-other")

    def test_has_the_rate_that_loadgen_sent_at(self, old: FleetReport) -> None:
        offline, server = old.hosts[0].phases
        paced = server.model_copy(update={"target_qps": 5.0})
        found = compare_runs(old, changed_host(old, "a", phases=(offline, paced)))
        (note,) = scenario(found, Scenario.SERVER).notes
        assert note.startswith("LoadGen sent at another rate")
        assert f"a {server.target_qps:g} and 5" in note
        assert scenario(found, Scenario.OFFLINE).notes == ()


def test_survives_its_own_json(old: FleetReport) -> None:
    found = compare_runs(old, lost(old, "b"))
    assert Comparison.model_validate_json(found.model_dump_json()) == found
