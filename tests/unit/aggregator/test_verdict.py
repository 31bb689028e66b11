"""Each verdict from its causes, the strongest evidence first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.gate import GateFinding, GateRule
from loadfleet_agent.contract.result import Accuracy, RougeScore
from loadfleet_agent.contract.status import FailureCode, State, Status, make_failure
from loadfleet_aggregator.bundle import Bundle
from loadfleet_aggregator.fleet.record import HostRecord
from loadfleet_aggregator.verdict import VerdictKind, judge_host

from .helpers import HostRun, make_note

SELECTED = HostRecord(plan_hash="0" * 64)
NOTHING = Bundle(status=None, plan=None, facts=None, result=None, gate={}, problems=())
FAILURE = make_failure(FailureCode.OUT_OF_GPU_MEMORY, "load", "8 GiB are missing")


@pytest.fixture(scope="module")
def whole(host_a: HostRun) -> Bundle:
    return host_a.read(host_a.folder)


@pytest.fixture
def running(whole: Bundle) -> Status:
    assert whole.status is not None
    changes = {"state": State.RUNNING, "phase": "server-performance"}
    return whole.status.model_copy(update=changes)


class TestJudgeHost:
    def test_ok(self, whole: Bundle) -> None:
        verdict = judge_host(SELECTED, make_note("host-a"), whole)
        assert verdict.kind is VerdictKind.OK
        assert str(verdict) == "ok"

    @pytest.mark.parametrize("state", ["collected", "failed", "unreachable", "not-run"])
    def test_ok_whatever_befell_the_controller_once_the_result_is_here(
        self, whole: Bundle, state: str
    ) -> None:
        assert judge_host(SELECTED, make_note("host-a", state), whole).kind is VerdictKind.OK

    def test_not_valid_by_the_gate_over_the_logs(self, whole: Bundle) -> None:
        finding = GateFinding(rule=GateRule.TTFT, found="0 ns", required="above 0")
        gate = whole.gate | {"server-performance": (finding,)}
        verdict = judge_host(SELECTED, make_note("host-a"), replace(whole, gate=gate))
        assert verdict.kind is VerdictKind.NOT_VALID
        assert str(verdict) == "not valid: server-performance: ttft: 0 ns, required above 0"
        assert verdict.hint

    def test_not_valid_by_a_missed_accuracy_target(self, whole: Bundle) -> None:
        assert whole.result is not None
        score = RougeScore(
            rouge1=1.0, rouge2=1.0, rougeL=1.0, rougeLsum=1.0, gen_len=10, gen_num=16
        )
        missed = Accuracy(
            scenario=Scenario.OFFLINE,
            score=score,
            applicable=True,
            reason="rouge1 1.0 under 38.39",
            passed=False,
        )
        result = whole.result.model_copy(update={"accuracy": (missed,)})
        verdict = judge_host(SELECTED, make_note("host-a"), replace(whole, result=result))
        assert verdict.kind is VerdictKind.NOT_VALID
        assert verdict.reason == "Offline accuracy: rouge1 1.0 under 38.39"

    def test_not_valid_by_the_agents_own_gate_alone(self, whole: Bundle) -> None:
        assert whole.result is not None
        finding = GateFinding(rule=GateRule.TTFT, found="0 ns", required="above 0")
        phases = (whole.result.phases[0].model_copy(update={"gate": (finding,)}),)
        result = whole.result.model_copy(update={"phases": phases})
        verdict = judge_host(SELECTED, make_note("host-a"), replace(whole, result=result))
        assert verdict.kind is VerdictKind.NOT_VALID
        assert verdict.reason

    def test_failed_by_its_own_account(self, whole: Bundle) -> None:
        assert whole.result is not None
        result = whole.result.model_copy(update={"outcome": "failed", "failure": FAILURE})
        verdict = judge_host(SELECTED, make_note("host-a"), replace(whole, result=result))
        assert verdict.kind is VerdictKind.FAILED
        assert str(verdict) == "failed at load because 8 GiB are missing"
        assert verdict.hint == FAILURE.hint

    def test_failed_when_its_files_are_damaged_whatever_the_result_says(
        self, whole: Bundle
    ) -> None:
        damaged = replace(whole, problems=("plan.json: one", "host.json: two", "more: three"))
        verdict = judge_host(SELECTED, make_note("host-a"), damaged)
        assert (verdict.kind, verdict.phase) == (VerdictKind.FAILED, "collect")
        assert "plan.json: one (and 2 more)" in verdict.reason
        assert verdict.hint

    def test_failed_by_the_status_where_there_is_no_result(self, running: Status) -> None:
        status = running.model_copy(update={"state": State.FAILED, "failure": FAILURE})
        verdict = judge_host(SELECTED, make_note("host-a"), replace(NOTHING, status=status))
        assert str(verdict) == "failed at load because 8 GiB are missing"

    def test_failed_where_the_run_was_broken_off(self, running: Status) -> None:
        note = make_note("host-a", "failed", "wait", "died: the agent is gone")
        verdict = judge_host(SELECTED, note, replace(NOTHING, status=running))
        assert str(verdict) == "failed at server-performance because died: the agent is gone"
        assert verdict.hint

    @pytest.mark.parametrize("noted", [True, False])
    def test_failed_where_the_run_did_not_end_and_nobody_knows_why(
        self, running: Status, noted: bool
    ) -> None:
        note = make_note("host-a") if noted else None
        verdict = judge_host(SELECTED, note, replace(NOTHING, status=running))
        assert str(verdict) == "failed at server-performance because the run did not end"

    @pytest.mark.parametrize("bundle", [None, NOTHING])
    def test_failed_at_a_step_of_the_controller(self, bundle: Bundle | None) -> None:
        note = make_note("host-a", "failed", "deploy", "no space left")
        verdict = judge_host(SELECTED, note, bundle)
        assert str(verdict) == "failed at deploy because no space left"
        assert verdict.hint

    @pytest.mark.parametrize("bundle", [None, NOTHING])
    def test_unreachable(self, bundle: Bundle | None) -> None:
        note = make_note("host-a", "unreachable", "inspect", "Connection refused")
        verdict = judge_host(SELECTED, note, bundle)
        assert verdict.kind is VerdictKind.UNREACHABLE
        assert str(verdict) == "unreachable: inspect: Connection refused"
        assert verdict.hint

    def test_unreachable_rather_than_what_an_earlier_collection_said(self, running: Status) -> None:
        note = make_note("host-a", "unreachable", "wait", "lost")
        verdict = judge_host(SELECTED, note, replace(NOTHING, status=running))
        assert verdict.kind is VerdictKind.UNREACHABLE

    @pytest.mark.parametrize("bundle", [None, NOTHING])
    def test_missing_where_nothing_was_collected(self, bundle: Bundle | None) -> None:
        for note in (None, make_note("host-a", "not-run"), make_note("host-a")):
            verdict = judge_host(SELECTED, note, bundle)
            assert str(verdict) == "missing: nothing was collected from it"

    def test_missing_where_it_was_not_selected(self, whole: Bundle) -> None:
        verdict = judge_host(HostRecord(plan_hash=None), make_note("host-a"), whole)
        assert str(verdict) == "missing: not selected for this run"

    def test_an_incomplete_result_is_never_ok(self, whole: Bundle) -> None:
        assert whole.result is not None
        for outcome in ("failed", "stopped"):
            result = whole.result.model_copy(update={"outcome": outcome})
            verdict = judge_host(SELECTED, make_note("host-a"), replace(whole, result=result))
            assert verdict.kind is not VerdictKind.OK
