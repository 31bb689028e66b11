"""The profile that fits, with why, and what would be faster."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.roofline import Precision
from loadfleet_aggregator.init.build import make_groups
from loadfleet_aggregator.init.choose import (
    NoProfile,
    choose_profile,
    choose_runtime,
    precision_of,
)
from loadfleet_aggregator.init.gpu_ids import PCI_MODELS
from loadfleet_aggregator.init.model import SeenGpu, SeenHost
from loadfleet_aggregator.init.scan import _of_bus

A30 = SeenGpu(name="NVIDIA A30", memory_mib=24576, compute_capability="8.0", by_driver=True)
H100 = SeenGpu(
    name="NVIDIA H100 80GB HBM3", memory_mib=81559, compute_capability="9.0", by_driver=True
)
T4 = SeenGpu(name="Tesla T4", memory_mib=15360, compute_capability="7.5", by_driver=True)


def host(name: str, *gpus: SeenGpu, **changes: object) -> SeenHost:
    usual = SeenHost(name=name, scanned=True, reached=True, gpus=gpus, driver="580", docker=True)
    return usual.model_copy(update=changes)


class TestProfile:
    def test_of_an_a30_is_what_the_plain_model_runs_in_and_int8_is_named(self) -> None:
        choice = choose_profile([A30], Precision.BF16)
        assert choice.profile == "a30-bf16"
        assert choice.engine == {}
        assert choice.unmet == ""
        assert "15.0 GiB" in choice.reason
        assert "arithmetic is its limit" in choice.reason
        assert choice.faster.startswith("w8a8 would be faster")
        assert "int8 halves the arithmetic" in choice.faster
        assert "needs a checkpoint" in choice.faster

    def test_of_a_checkpoint_in_int8_is_the_fastest_of_an_a30(self) -> None:
        choice = choose_profile([A30], Precision.W8A8)
        assert choice.profile == "a30-w8a8"
        assert choice.faster == ""

    def test_of_a_large_gpu_takes_more_sequences_and_fp8_is_named(self) -> None:
        choice = choose_profile([H100], Precision.BF16)
        assert choice.profile == "a30-bf16"
        assert choice.engine == {"max_num_seqs": 448}
        assert choice.faster.startswith("fp8 would be faster")

    def test_that_does_not_fit_says_what_is_short(self) -> None:
        choice = choose_profile([T4], Precision.BF16)
        assert "15.0 GiB, the profile needs 22" in choice.unmet

    def test_of_a_mixed_host_is_judged_by_its_smallest_gpu(self) -> None:
        assert choose_profile([H100, T4], Precision.BF16).unmet

    def test_of_an_unknown_gpu_is_by_its_memory_alone(self) -> None:
        new = SeenGpu(name="NVIDIA B999", memory_mib=200_000, by_driver=True)
        choice = choose_profile([new], Precision.BF16)
        assert choice.unmet == ""
        assert "is not known here" in choice.reason

    def test_without_a_gpu_is_the_default(self) -> None:
        assert choose_profile([], Precision.BF16).reason.startswith("the default")

    def test_for_a_form_that_none_is_for_is_refused(self) -> None:
        with pytest.raises(NoProfile, match="fp8"):
            choose_profile([H100], Precision.FP8)


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", Precision.BF16),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8", Precision.W8A8),
        ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", Precision.W4A16),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", Precision.FP8),
    ],
)
def test_a_checkpoints_name_tells_its_form(model: str, precision: Precision) -> None:
    assert precision_of(model) is precision


@pytest.mark.parametrize("device", PCI_MODELS)
def test_every_gpu_that_is_known_by_its_id_gets_an_answer(device: str) -> None:
    gpu = _of_bus(device)
    assert not gpu.by_driver
    choice = choose_profile([gpu], Precision.BF16)
    assert bool(choice.unmet) == (device == "1eb8")


def test_a_gpu_that_is_not_known_by_its_id_is_named_by_it() -> None:
    gpu = _of_bus("ffff")
    assert gpu.name == "NVIDIA device ffff"
    assert "not known without a driver" in choose_profile([gpu], Precision.BF16).reason


class TestGroups:
    def test_one_kind_is_one_group_with_those_that_are_not_known(self) -> None:
        lost = SeenHost(name="lost", scanned=True, reached=False, reason="not reached: x")
        (group,) = make_groups([host("a", A30), lost], Precision.BF16)
        assert (group.name, group.hosts) == ("gpu_hosts", ("a", "lost"))

    def test_each_kind_is_a_group_the_most_frequent_first(self) -> None:
        seen = [host("a", H100), host("b", A30), host("c", A30)]
        first, second = make_groups(seen, Precision.BF16)
        assert (first.name, first.hosts) == ("a30_hosts", ("b", "c"))
        assert (second.name, second.hosts) == ("h100_80gb_hbm3_hosts", ("a",))

    def test_a_fleet_without_a_gpu_gets_the_tiny_model(self) -> None:
        (group,) = make_groups([host("a", driver=None)], Precision.BF16)
        assert group.choice.profile == "cpu-smoke"

    def test_a_fleet_of_which_none_is_reached_is_not_taken_for_one(self) -> None:
        lost = SeenHost(name="lost", scanned=True, reached=False, reason="not reached: x")
        (group,) = make_groups([lost], Precision.BF16)
        assert group.choice.profile == "a30-bf16"


class TestRuntime:
    def test_is_a_container_where_docker_is_or_comes(self) -> None:
        assert choose_runtime([host("a", A30)])[0] == "container"
        assert choose_runtime([host("a", A30, driver=None, docker=False)])[0] == "container"
        assert choose_runtime([])[0] == "container"

    def test_is_a_venv_where_all_is_ready_but_docker(self) -> None:
        runtime, why = choose_runtime([host("a", A30, docker=False)])
        assert runtime == "venv"
        assert "on a" in why
