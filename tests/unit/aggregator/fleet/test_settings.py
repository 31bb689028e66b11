"""An inventory's settings are right as a whole, or every finding is told with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_aggregator.fleet.settings import (
    InventoryError,
    PlannedHost,
    keep_shards,
    plan_hosts,
)

BASE: dict[str, Any] = {
    "loadfleet_profile": "null-engine",
    "loadfleet_model": {"source": "tiny"},
    "loadfleet_dataset": {"source": "synthetic"},
    "loadfleet_length": {"samples": 16},
}


def no_origin(_name: str, _value: Any) -> str:
    return ""


def plan(hosts: Mapping[str, Mapping[str, Any]], project: Path = Path("/")) -> list[PlannedHost]:
    return plan_hosts(hosts, "run-1", no_origin, project)


def refusal(variables: Mapping[str, Any], project: Path = Path("/")) -> str:
    with pytest.raises(InventoryError) as caught:
        plan({"gpu-01": variables}, project)
    return str(caught.value)


def test_plans_each_host_from_its_variables() -> None:
    fast = BASE | {"loadfleet_server_target_qps": 8.0, "loadfleet_home": "/data/loadfleet"}
    first, second = plan({"gpu-01": BASE, "gpu-02": fast})
    assert (first.name, first.plan.host, first.plan.run_id) == ("gpu-01", "gpu-01", "run-1")
    assert first.fleet.home == "/var/lib/loadfleet"
    assert second.fleet.home == "/data/loadfleet"
    assert [item.plan.scenarios[1].target_qps for item in (first, second)] == [None, 8.0]
    assert first.plan.plan_hash != second.plan.plan_hash


def test_gives_hosts_with_equal_settings_one_plan_hash() -> None:
    elsewhere = BASE | {
        "loadfleet_home": "/elsewhere",
        "loadfleet_poll_s": 1,
        "loadfleet_price_per_kwh": 0.3,
    }
    first, second = plan({"gpu-01": BASE, "gpu-02": elsewhere})
    assert first.plan.plan_hash == second.plan.plan_hash


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "../up", "..", ".", "a/b", "a b", "-a", ".a", "a\n", "é", "",
     "a" * 64, "::1"],
)  # fmt: skip
def test_refuses_a_host_whose_name_cannot_name_files(name: str) -> None:
    with pytest.raises(InventoryError) as caught:
        plan({"gpu-01": BASE, name: BASE})
    assert "a host's name in the inventory names files" in str(caught.value)
    assert str(caught.value).endswith(f"(host {name})")


@pytest.mark.parametrize("name", ["10.0.0.1", "gpu-01.example.com", "GPU_01", "a" * 63])
def test_takes_the_names_that_hosts_have(name: str) -> None:
    assert plan({name: BASE})[0].plan.host == name


def test_leaves_variables_of_others_alone() -> None:
    assert plan({"gpu-01": BASE | {"ansible_user": "ubuntu", "loadfleets": 1}})


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("loadfleet_profil", "loadfleet_profile"),
        ("loadfleet_colect_accuracy_logs", "loadfleet_collect_accuracy_logs"),
        ("loadfleet_Home", "loadfleet_home"),
    ],
)
def test_refuses_an_unknown_key_with_a_suggestion(key: str, near: str) -> None:
    said = refusal(BASE | {key: "x"})
    assert said == f"{key}: no such setting; did you mean {near}? (host gpu-01)"


def test_refuses_an_unknown_key_that_is_like_no_other() -> None:
    assert refusal(BASE | {"loadfleet_zzzzzz": 1}) == (
        "loadfleet_zzzzzz: no such setting (host gpu-01)"
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("loadfleet_poll_s", 0, "poll_s: input should be greater than 0 (got 0)"),
        ("loadfleet_home", "relative", "home: string should match pattern"),
        (
            "loadfleet_server_target_qps",
            "fast",
            "server_target_qps: input should be a valid number",
        ),
        ("loadfleet_server_target_qps", -1, "server_target_qps: input should be greater than 0"),
        ("loadfleet_scenarios", ["Sideways"], "scenarios.0: input should be 'Offline', 'Server'"),
        ("loadfleet_model", {"source": "moon"}, "model: "),
        ("loadfleet_dataset", {"source": "file"}, "file.path: missing"),
        ("loadfleet_engine", {"max_num_seq": 4}, "no such key 'max_num_seq'; did you mean max_num"),
        ("loadfleet_engine", {"max_num_seqs": 0}, "max_num_seqs: input should be greater"),
        ("loadfleet_run_id", "../escape", "run_id: string should match pattern"),
        ("loadfleet_run_id", 7, "run_id: input should be a valid string"),
    ],
)
def test_refuses_a_wrong_value_and_names_the_key(key: str, value: object, said: str) -> None:
    text = refusal(BASE | {key: value})
    assert text.startswith(f"{key}: ")
    assert said in text
    assert "\n" not in text


def test_refuses_a_missing_setting() -> None:
    settings = {key: value for key, value in BASE.items() if key != "loadfleet_model"}
    profile = BASE["loadfleet_profile"]
    wanted = f"loadfleet_model: missing: the profile {profile} names none (host gpu-01)"
    assert refusal(settings) == wanted


class TestProfile:
    def test_may_be_a_file_of_the_project(self, tmp_path: Path) -> None:
        text = "description: mine\nbuild: cuda\nengine: {max_num_seqs: 7}\n"
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        (host,) = plan({"gpu-01": BASE | {"loadfleet_profile": "mine.yaml"}}, tmp_path)
        assert host.plan.engine.max_num_seqs == 7

    @pytest.mark.parametrize("name", ["nowhere", "nowhere.yaml", "/nowhere/at/all.yml"])
    def test_refuses_one_that_is_not_there(self, name: str, tmp_path: Path) -> None:
        said = refusal(BASE | {"loadfleet_profile": name}, tmp_path)
        assert said.startswith("loadfleet_profile: no profile")
        assert name in said
        assert "null-engine" in said

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("description: x\nbuild: cpu\nengin: {}\n", "engin: no such key"),
            ("description: x\nbuild: cpu\nengine: {dtyp: x}\n", "engine.dtyp: no such key"),
            ("description: x\nbuild: abacus\n", "build: input should be 'cpu' or 'cuda'"),
            ("description: x\n", "build: missing"),
            ("description: [\n", "not YAML"),
            ("", "the whole: "),
        ],
    )
    def test_refuses_a_wrong_file_and_names_the_key(
        self, text: str, said: str, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        found = refusal(BASE | {"loadfleet_profile": "mine.yaml"}, tmp_path)
        assert found.startswith(f"loadfleet_profile: {tmp_path / 'mine.yaml'}: ")
        assert said in found
        assert "\n" not in found


class TestDatasetFromController:
    SETTINGS = BASE | {
        "loadfleet_dataset": {"source": "file", "path": "data/cnn_eval.json"},
        "loadfleet_dataset_from_controller": True,
        "loadfleet_home": "/data/loadfleet",
    }

    def test_plans_the_place_to_which_the_file_is_brought(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "cnn_eval.json").write_text("[]", encoding="utf-8")
        (host,) = plan({"gpu-01": self.SETTINGS}, tmp_path)
        (file,) = host.plan.dataset
        moved = "/data/loadfleet/datasets/cnn_eval.json"
        assert file.model_dump()["path"] == moved
        assert host.brought == {moved: str(tmp_path / "data" / "cnn_eval.json")}

    def test_brings_a_file_of_a_chain_and_leaves_the_rest(self, tmp_path: Path) -> None:
        (tmp_path / "cnn_eval.json").write_text("[]", encoding="utf-8")
        chain = [{"source": "mlcommons"}, {"source": "file", "path": "cnn_eval.json"}]
        (host,) = plan({"gpu-01": self.SETTINGS | {"loadfleet_dataset": chain}}, tmp_path)
        assert [source.source for source in host.plan.dataset] == ["mlcommons", "file"]
        assert list(host.brought.values()) == [str(tmp_path / "cnn_eval.json")]

    def test_refuses_two_files_of_one_name(self, tmp_path: Path) -> None:
        chain = []
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "cnn_eval.json").write_text("[]", encoding="utf-8")
            chain.append({"source": "file", "path": f"{folder}/cnn_eval.json"})
        said = refusal(self.SETTINGS | {"loadfleet_dataset": chain}, tmp_path)
        assert "two files of the name cnn_eval.json" in said

    def test_refuses_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        said = refusal(self.SETTINGS, tmp_path)
        assert said.startswith("loadfleet_dataset: path: no such file on the controller: ")
        assert str(tmp_path / "data" / "cnn_eval.json") in said

    def test_looks_for_no_file_that_is_on_the_hosts(self, tmp_path: Path) -> None:
        settings = self.SETTINGS | {"loadfleet_dataset_from_controller": False}
        (host,) = plan({"gpu-01": settings}, tmp_path)
        (file,) = host.plan.dataset
        assert file.model_dump()["path"] == "data/cnn_eval.json"
        assert not host.brought


class TestFindings:
    def test_tell_the_same_of_many_hosts_once(self) -> None:
        hosts = {f"gpu-0{n}": BASE | {"loadfleet_profil": "x"} for n in range(1, 6)}
        with pytest.raises(InventoryError) as caught:
            plan(hosts)
        (line,) = str(caught.value).splitlines()
        assert line.endswith("(host gpu-01, gpu-02, gpu-03 and 2 more)")

    def test_tell_different_ones_each_with_its_hosts(self) -> None:
        hosts = {
            "gpu-01": BASE | {"loadfleet_poll_s": 0},
            "gpu-02": BASE,
            "gpu-03": BASE | {"loadfleet_profile": "nowhere"},
        }
        with pytest.raises(InventoryError) as caught:
            plan(hosts)
        first, second = str(caught.value).splitlines()
        assert first.startswith("loadfleet_poll_s: ")
        assert first.endswith("(host gpu-01)")
        assert second.startswith("loadfleet_profile: ")
        assert second.endswith("(host gpu-03)")

    def test_name_the_place_where_the_variable_was_set(self) -> None:
        def origin(name: str, value: Any) -> str:
            return f"hosts.yml:{value}" if name == "loadfleet_profil" else "elsewhere"

        hosts = {"a": BASE | {"loadfleet_profil": 3}, "b": BASE | {"loadfleet_profil": 9}}
        with pytest.raises(InventoryError) as caught:
            plan_hosts(hosts, "run-1", origin, Path("/"))
        first, second = str(caught.value).splitlines()
        assert first.startswith("hosts.yml:3: loadfleet_profil: ")
        assert second.startswith("hosts.yml:9: loadfleet_profil: ")

    def test_name_no_place_for_a_setting_that_is_absent(self) -> None:
        with pytest.raises(InventoryError) as caught:
            plan_hosts({"a": {}}, "run-1", lambda _n, _v: "somewhere", Path("/"))
        assert "somewhere" not in str(caught.value)


@pytest.mark.parametrize("key", ["price_per_gpu_hour", "price_per_kwh"])
@pytest.mark.parametrize("price", [-1, float("inf"), "much"])
def test_refuses_a_price_that_is_none(key: str, price: object) -> None:
    assert f"loadfleet_{key}: {key}: input should be" in refusal(BASE | {f"loadfleet_{key}": price})


class TestSharedQuestions:
    """``mmlu_shard: fleet``: the hosts of one plan are asked a share each."""

    HOST: ClassVar = BASE | {
        "loadfleet_benchmarks": ["mmlu"],
        "loadfleet_mmlu_data": {"source": "synthetic"},
        "loadfleet_mmlu_shard": "fleet",
    }

    def plans(self, names: str, **others: object) -> list[PlannedHost]:
        return plan(dict.fromkeys(names, self.HOST | others))

    def shards(self, planned: Sequence[PlannedHost]) -> dict[str, tuple[int, int]]:
        return {host.name: (host.shard.index, host.shard.of) for host in planned}

    def opened(self, planned: Sequence[PlannedHost]) -> dict[str, RunPlan]:
        return {host.name: host.plan for host in planned}

    def test_are_dealt_out_once(self) -> None:
        planned = self.plans("abc")
        assert self.shards(planned) == {"a": (0, 3), "b": (1, 3), "c": (2, 3)}
        assert len({host.plan.plan_hash for host in planned}) == 1

    def test_stay_where_they_are_for_some_of_the_hosts(self) -> None:
        opened = self.opened(self.plans("abc"))
        (went_on,) = keep_shards(self.plans("b"), opened)
        assert self.shards([went_on]) == {"b": (1, 3)}
        assert went_on.plan.plan_hash == opened["b"].plan_hash

    def test_are_not_moved_by_a_host_that_comes_to_them(self) -> None:
        opened = self.opened(self.plans("bc"))
        with pytest.raises(InventoryError, match="a came after the run's hosts had shared"):
            keep_shards(self.plans("abc"), opened)

    def test_of_another_plan_are_dealt_out_among_its_own_hosts(self) -> None:
        opened = self.opened(self.plans("ab"))
        new = self.plans("cd", loadfleet_mmlu_samples=2)
        assert self.shards(keep_shards([*self.plans("ab"), *new], opened)) == {
            "a": (0, 2),
            "b": (1, 2),
            "c": (0, 2),
            "d": (1, 2),
        }

    def test_are_not_shared_by_hosts_that_began_with_all_of_them(self) -> None:
        opened = self.opened(self.plans("ab", loadfleet_mmlu_shard="host"))
        went_on = keep_shards(self.plans("ab"), opened)
        # Another plan than that of the run, which open_run refuses.
        assert went_on[0].plan.plan_hash != opened["a"].plan_hash
