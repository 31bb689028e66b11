"""What a host answered becomes checks: each fault one of its own, with a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_aggregator.doctor.catalogue import HOST_CHECKS
from loadfleet_aggregator.doctor.hosts import check_host
from loadfleet_aggregator.doctor.model import Check, Severity
from loadfleet_aggregator.wheelhouse import wheelhouse_key

from .made import GPU, OFF, PROJECT, SETTINGS, answers, found, host_answers, worst

ERROR, WARNING, SKIPPED, OK = (
    Severity.ERROR, Severity.WARNING, Severity.SKIPPED, Severity.OK,
)  # fmt: skip


def checks_of(*, online: bool = False, **changes: Any) -> list[Check]:
    told = answers({"gpu-1": host_answers(**changes)})
    return check_host("gpu-1", told.hosts["gpu-1"], PROJECT, online=online)


def test_a_ready_host_has_nothing_against_it_and_keeps_the_order_of_the_catalogue() -> None:
    checks = checks_of()
    assert worst(checks) == []
    order = [kind.id for kind in HOST_CHECKS]
    places = [order.index(check.id) for check in checks]
    assert places == sorted(places)
    assert {check.place for check in checks} == {"gpu-1"}


@pytest.mark.parametrize(
    ("told", "found_", "remedy"),
    [
        ("Connection refused", "Connection refused", "start sshd"),
        ("ops@h: Permission denied (publickey).", "Permission denied", "authorized_keys"),
        ("Host key verification failed.", "Host key verification failed", "known_hosts"),
        ("something new", "something new", "ssh -v"),
    ],
)
def test_a_host_that_is_not_reached_says_only_why(told: str, found_: str, remedy: str) -> None:
    message = f"Task failed: Failed to connect to the host via ssh: {told}"
    (check,) = checks_of(reach={"unreachable": True, "msg": message}, gpus=None, system=None)
    assert (check.id, check.severity) == ("connection", ERROR)
    assert check.found.startswith(found_) or found_ in check.found
    assert "Failed to connect" not in check.found
    assert remedy in check.remedy


def test_a_finding_of_a_module_keeps_its_severity_and_remedy() -> None:
    finding = {"check": "power", "severity": "warning", "cause": "capped", "remedy": "lift it"}
    checks = checks_of(gpus={"findings": [finding], "passed": {}, "facts": {}})
    power = found(checks, "power")
    assert (power.severity, power.found, power.remedy) == (WARNING, "capped", "lift it")


def test_a_module_that_could_not_run_is_an_error_that_hides_no_other() -> None:
    checks = checks_of(gpus={"msg": "Timed out after 60 second(s)."})
    assert worst(checks) == [("driver", ERROR)]
    assert found(checks, "driver").found == "Timed out after 60 second(s)."
    assert found(checks, "model").severity is OK


def test_a_python_that_does_not_run_there_is_told_once() -> None:
    broken = {"msg": "deserialization failed", "module_stderr": "sh: python3: not found\n"}
    checks = checks_of(gpus=broken, system=broken, agent=broken, needs=broken)
    (check,) = [check for check in checks if check.severity is ERROR]
    assert check.found == "no module of Ansible runs there: sh: python3: not found"
    assert "ansible_python_interpreter" in check.remedy


def test_a_wrong_clock_is_told_with_its_side() -> None:
    reach = host_answers()["reach"]
    reach |= {"clock_offset_s": OFF.offset_s, "clock_error_s": OFF.error_s}
    check = found(checks_of(reach=reach), "clock")
    assert check.severity is ERROR
    assert "5.0 s behind" in check.found
    assert "NTP" in check.remedy


def test_a_slow_link_is_no_wrong_clock() -> None:
    reach = host_answers()["reach"] | {"clock_offset_s": 5.0, "clock_error_s": 4.0}
    assert found(checks_of(reach=reach), "clock").severity is OK


def test_sudo_that_wants_a_password_is_told_once_and_not_as_something_else() -> None:
    told = {"msg": "Task failed: Missing sudo password"}
    checks = checks_of(system=told, agent=told, needs=told)
    assert worst(checks) == [("sudo", ERROR)]
    assert "NOPASSWD" in found(checks, "sudo").remedy


def test_tasks_that_do_not_run_as_root_name_the_setting() -> None:
    finding = {"check": "root", "cause": "not root", "remedy": "x"}
    checks = checks_of(system={"findings": [finding], "passed": {}, "facts": {}})
    assert "ansible_become: true" in found(checks, "sudo").remedy


@pytest.mark.parametrize(
    ("sudo", "how"),
    [("root", "logs in as root"), ("sudo", "without a password"), ("asks", "that Ansible has")],
)
def test_the_way_to_root_is_told(sudo: str, how: str) -> None:
    check = found(checks_of(reach=host_answers()["reach"] | {"sudo": sudo}), "sudo")
    assert check.severity is OK
    assert how in check.found


class TestAgent:
    KEY = wheelhouse_key(PROJECT, "client", "3.12")

    @pytest.mark.parametrize(
        ("environments", "said"),
        [
            ([KEY], f"agent {KEY}"),
            (["client-py312-old"], "another agent (client-py312-old)"),
            ([], "no agent yet"),
        ],
    )
    def test_of_this_checkout_or_another_or_none_is_well(
        self, environments: list[str], said: str
    ) -> None:
        agent = host_answers()["agent"] | {"environments": environments}
        check = found(checks_of(agent=agent), "agent")
        assert check.severity is OK
        assert said in check.found

    def test_that_cannot_be_installed_is_an_error(self) -> None:
        check = found(checks_of(agent={"msg": "the agent needs Python 3.11 or newer"}), "agent")
        assert (check.severity, check.found) == (ERROR, "the agent needs Python 3.11 or newer")


def test_gpus_that_a_profile_does_not_fit_are_named() -> None:
    gpus = host_answers()["gpus"] | {"facts": {"gpus": [GPU | {"memory.total": "15360"}]}}
    check = found(checks_of(gpus=gpus), "profile")
    assert check.severity is ERROR
    assert "15.0 GiB, the profile needs 22" in check.found


def test_a_capability_that_the_driver_does_not_tell_is_not_held_against_it() -> None:
    gpus = host_answers()["gpus"] | {"facts": {"gpus": [GPU | {"compute_cap": "[N/A]"}]}}
    assert found(checks_of(gpus=gpus), "profile").severity is OK


def test_a_host_whose_runs_need_no_gpu_is_asked_for_none() -> None:
    settings = {"loadfleet_profile": "cpu-smoke", "loadfleet_model": {"source": "tiny"}}
    settings["loadfleet_dataset"] = {"source": "synthetic"}
    checks = checks_of(settings=settings, gpus=None, needs={"findings": [], "passed": {}})
    assert worst(checks) == []
    assert found(checks, "gpus").found == "profile cpu-smoke runs without a GPU"
    assert found(checks, "model").severity is SKIPPED


def test_a_run_larger_than_the_disk_is_an_error() -> None:
    system = host_answers()["system"] | {"facts": {"home_free_gib": 0.0}}
    assert worst(checks_of(system=system)) == [("disk", ERROR)]


class TestHub:
    @pytest.mark.parametrize(
        ("hub", "severity"),
        [
            ({"access": "proved"}, OK),
            ({"access": "not asked"}, SKIPPED),
            ({"msg": "model org/name is gated and there is no token"}, ERROR),
        ],
    )
    def test_gives_the_model_or_says_why_not(self, hub: dict[str, str], severity: str) -> None:
        check = found(checks_of(hub=hub, online=True), "hub")
        assert check.severity == severity

    def test_is_not_asked_for_a_model_that_is_not_its(self) -> None:
        settings = SETTINGS | {"loadfleet_model": {"source": "path", "path": "/model"}}
        hub = {"access": "not asked"}
        checks = checks_of(settings=settings, hub=hub, online=True)
        assert found(checks, "hub").severity is SKIPPED


def test_wrong_settings_do_not_keep_a_host_from_being_looked_at() -> None:
    checks = checks_of(plan=None)
    assert worst(checks) == []
    assert found(checks, "driver").severity is OK
