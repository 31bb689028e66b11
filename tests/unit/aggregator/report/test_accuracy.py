"""ROUGE of several hosts together counts each sample as much as every other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.benchmark import ACCURACY_TARGETS, Scenario, Suite
from loadfleet_agent.contract.result import Accuracy, RougeScore
from loadfleet_aggregator.report.accuracy import pooled_accuracy
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import HostReport, PooledAccuracy

from ..helpers import HostRun, make_run

TARGET = ACCURACY_TARGETS[Suite.DATACENTER]
PLANS: dict[str, dict[str, object]] = {"A": {"suite": "datacenter"}}


@pytest.fixture(scope="module")
def host(host_a: HostRun, tmp_path_factory: pytest.TempPathFactory) -> HostReport:
    """A real host's part of a report, whose scores a test replaces."""
    return build_report(make_run(tmp_path_factory.mktemp("one"), [host_a])).hosts[0]


def scored(host: HostReport, name: str, *, applicable: bool = True, **told: Any) -> HostReport:
    values = TARGET.model_dump(exclude={"samples"}) | {"gen_num": TARGET.samples} | told
    accuracy = Accuracy(
        scenario=Scenario.OFFLINE,
        score=RougeScore(**values),
        applicable=applicable,
        reason="" if applicable else "not applicable: short",
        passed=True if applicable else None,
    )
    return host.model_copy(update={"name": name, "accuracy": (accuracy,)})


def pooled(*hosts: HostReport) -> PooledAccuracy:
    (found,) = pooled_accuracy(hosts, PLANS)
    return found


def test_is_the_mean_over_all_samples(host: HostReport) -> None:
    found = pooled(
        scored(host, "a", rouge1=40.0, gen_num=3000), scored(host, "b", rouge1=44.0, gen_num=1000)
    )
    assert (found.hosts, found.score.rouge1, found.score.gen_num) == (2, 41.0, 2000)


def test_tells_by_how_much_it_passes(host: HostReport) -> None:
    found = pooled(scored(host, "a"), scored(host, "b"))
    assert found.passed
    assert found.margins == pytest.approx(
        {name: getattr(TARGET, name) * 0.01 for name in found.margins}, abs=1e-4
    )
    assert list(found.margins) == ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def test_names_the_host_with_the_least_margin(host: HostReport) -> None:
    low = scored(host, "b", rouge2=15.7)
    found = pooled(scored(host, "a"), low, scored(host, "c", rouge1=40.0))
    assert found.worst_host == "b"
    assert found.passed is True


def test_says_what_was_missed(host: HostReport) -> None:
    found = pooled(scored(host, "a", rougeL=20.0), scored(host, "b", rougeL=21.0))
    assert found.passed is False
    assert found.reason.startswith("rougeL 20.5000 below 24.25")


def test_without_targets_that_apply_has_no_margin(host: HostReport) -> None:
    found = pooled(
        scored(host, "a", applicable=False, rougeL=3.0),
        scored(host, "b", applicable=False, rougeL=2.0),
    )
    assert (found.passed, found.margins, found.worst_host) == (None, {}, "b")
    assert found.reason == "not applicable: short"


@pytest.mark.parametrize(
    "told", [{"rouge1": 101.0}, {"rouge1": -1.0}, {"gen_num": 0}, {"gen_len": 10**13}]
)
def test_senseless_scores_are_left_out(host: HostReport, told: dict[str, Any]) -> None:
    try:
        hosts = scored(host, "a"), scored(host, "b", **told)
    except ValueError:
        return  # the contract refuses it already
    assert pooled(*hosts).hosts == 1


def test_a_real_run_has_one_for_each_scenario(host: HostReport) -> None:
    found = pooled_accuracy([host], PLANS)
    assert [item.scenario for item in found] == [Scenario.OFFLINE, Scenario.SERVER]
    for item in found:
        (told,) = (one.score for one in host.accuracy if one.scenario is item.scenario)
        assert item.score == told


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.data())
def test_lies_between_the_hosts_in_any_order(
    host: HostReport, values: list[float], data: st.DataObject
) -> None:
    hosts = [scored(host, f"h{i}", rougeL=round(v, 4)) for i, v in enumerate(values)]
    found = pooled(*hosts)
    assert min(values) - 1e-3 <= found.score.rougeL <= max(values) + 1e-3
    assert pooled(*data.draw(st.permutations(hosts))) == found
