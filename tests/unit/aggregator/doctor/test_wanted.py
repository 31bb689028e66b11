"""The files that a plan needs on its host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_aggregator.doctor.wanted import WantedFile, wanted_files
from loadfleet_aggregator.fleet.settings import plan_hosts

from .made import SETTINGS

COMMIT = "a" * 40


def wanted(project: Path = Path("/"), **changes: Any) -> dict[str, WantedFile]:
    settings = SETTINGS | {f"loadfleet_{key}": value for key, value in changes.items()}
    (host,) = plan_hosts({"h": settings}, "r", lambda _key, _value: "", project)
    return {item.check: item for item in wanted_files(host)}


def test_a_model_of_the_hub_may_be_in_the_agents_cache() -> None:
    places = wanted()["model"].any
    assert f"/var/lib/loadfleet/cache/hub/models--org--name/verified-{COMMIT}.json" in places
    assert not any(".cache/huggingface" in place for place in places)  # no container sees that


def test_in_a_venv_the_users_own_cache_will_do() -> None:
    assert any(".cache/huggingface" in place for place in wanted(runtime="venv")["model"].any)


def test_a_cache_that_is_named_is_the_only_one() -> None:
    model = SETTINGS["loadfleet_model"] | {"cache": "/mnt/hub"}
    assert all(place.startswith("/mnt/hub/") for place in wanted(model=model)["model"].any)


def test_what_the_agent_makes_itself_is_not_wanted() -> None:
    assert wanted(model={"source": "tiny"}, dataset={"source": "synthetic"}) == {}


def test_one_of_several_datasets_will_do() -> None:
    chain = [{"source": "mlcommons"}, {"source": "file", "path": "/data/x.json"}]
    assert wanted(dataset=chain)["dataset"].any == (
        "/var/lib/loadfleet/datasets/cnn_eval.json",
        "/data/x.json",
    )
    assert "dataset" not in wanted(dataset=[*chain, {"source": "synthetic"}])


def test_a_dataset_of_the_controller_is_not_looked_for_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "x.json").touch()
    brought = {"dataset": {"source": "file", "path": "x.json"}, "dataset_from_controller": True}
    assert "dataset" not in wanted(tmp_path, **brought)
