"""What no host knows of itself is asked for, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.submission.build import parse_request, write_template
from loadfleet_aggregator.submission.fields import SYSTEM_FIELDS, Source
from loadfleet_aggregator.submission.finding import SubmissionRefused

from ..helpers import edit_json, reseal, snapshot
from .conftest import Seal
from .official_runs import collect
from .packages import ASKED, SUBMITTER, lines, refused, submit, write_system_file


def template(folder: Path, target: Path, **changes: Any) -> dict[str, Any]:
    request = parse_request(
        folder=folder, output=None, submitter=SUBMITTER, division="closed", **changes
    )
    text = write_template(request, target)
    assert target.read_text(encoding="utf-8") == text
    found: dict[str, Any] = yaml.safe_load(text)
    return found


class TestTemplate:
    def test_has_what_is_known_and_marks_what_is_missing(self, run: Path, tmp_path: Path) -> None:
        found = template(run, tmp_path / "system.yaml")
        asked = {name for name, value in found["system"].items() if value == "MISSING"}
        assert asked == set(ASKED)
        host = found["hosts"]["gpu-01"]
        assert host["accelerator_model_name"] == "NVIDIA A30"
        assert "MISSING" not in host.values()
        assert set(found["measurements"].values()) & {"MISSING", ""} == set()
        every = {*found["system"], *host, "submitter", "division"} - {"system_id"}
        assert every == {field.name for field in SYSTEM_FIELDS}

    def test_filled_in_makes_a_package(self, run: Path, tmp_path: Path) -> None:
        target = tmp_path / "system.yaml"
        template(run, target)
        text = target.read_text(encoding="utf-8")
        target.write_text(text.replace('"MISSING"', '"n/a"', 99), encoding="utf-8")
        assert lines(refused(run, system_file=target)) == ["system.status: no such status: n/a"]
        text = text.replace('status: "MISSING"', 'status: "rdi"')
        target.write_text(text.replace('"MISSING"', '"n/a"'), encoding="utf-8")
        assert submit(run, system_file=target).systems == ("gpu-01",)

    def test_as_it_is_lacks_what_it_marks(self, run: Path, tmp_path: Path) -> None:
        target = tmp_path / "system.yaml"
        template(run, target)
        marked = [line.partition(": ")[0] for line in lines(refused(run, system_file=target))]
        assert sorted(marked) == sorted(f"system.{name}" for name in ASKED)

    def test_keeps_what_an_earlier_file_says(self, run: Path, tmp_path: Path) -> None:
        earlier = write_system_file(
            tmp_path / "earlier.json", hosts={"gpu-01": {"system_id": "a30"}}
        )
        found = template(run, tmp_path / "system.yaml", system_file=earlier)
        assert found["system"]["cooling"] == "air"
        assert found["hosts"]["gpu-01"]["system_id"] == "a30"

    def test_is_made_of_a_run_that_lacks_everything_else(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal(scenarios=[Scenario.OFFLINE])])
        assert "gpu-01" in template(run, tmp_path / "system.yaml")["hosts"]

    def test_never_replaces_a_file_unasked(self, run: Path, tmp_path: Path) -> None:
        target = tmp_path / "system.yaml"
        target.write_text("mine", encoding="utf-8")
        before = snapshot(tmp_path)
        with pytest.raises(SubmissionRefused, match="is there already"):
            template(run, target)
        assert snapshot(tmp_path) == before
        assert template(run, target, force=True)["system"]

    def test_marks_what_a_host_does_not_tell(self, run: Path, host: Path, tmp_path: Path) -> None:
        edit_json(
            host / "host.json", lambda facts: facts["gpus"][0].update(pcie_generation_max=None)
        )
        reseal(host)
        found = template(run, tmp_path / "system.yaml")
        assert found["hosts"]["gpu-01"]["accelerator_host_interconnect"] == "MISSING"
        (line,) = lines(refused(run))
        where, _, what = line.partition(": ")
        assert where == "hosts.gpu-01.accelerator_host_interconnect"
        assert what.startswith("missing")


class TestFields:
    def test_that_are_missing_are_told_once_for_all_hosts(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("gpu-01"), seal("gpu-02")])
        findings = refused(run, system_file=None)
        told = [finding.where.removeprefix("system.") for finding in findings]
        user = [f.name for f in SYSTEM_FIELDS if f.source is Source.USER and f.required]
        assert told == user
        assert all("system file" in finding.todo for finding in findings)

    @pytest.mark.parametrize(
        ("sections", "what"),
        [
            ({"system": {"coolling": "air"}}, "system.coolling: no such field"),
            ({"measurements": {"weights": "x"}}, "measurements.weights: no such field"),
            ({"hosts": {"gpu-01": {"cpu": "x"}}}, "hosts.gpu-01.cpu: no such field"),
            ({"system": {"status": "soon"}}, "system.status: no such status: soon"),
            (
                {"system": {"number_of_nodes": 2}},
                "hosts.gpu-01.number_of_nodes: 2, but the run says 1",
            ),
            (
                {"system": {"accelerators_per_node": 8}},
                "hosts.gpu-01.accelerators_per_node: 8, but the run says 1",
            ),
            (
                {"system": {"system_type": "edge"}},
                "hosts.gpu-01.system_type: edge, but the run says datacenter",
            ),
            (
                {"system": {"submitter": "Other"}},
                "hosts.gpu-01.submitter: Other, but the run says Example",
            ),
            (
                {"hosts": {"gpu-01": {"system_id": "../../etc"}}},
                "hosts.gpu-01.system_id: '../../etc' cannot be a folder's name",
            ),
            ({"surprise": {}}, "surprise: no such key"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_that_are_wrong(self, run: Path, sections: dict[str, Any], what: str) -> None:
        file = write_system_file(run.parent / "own.json", **sections)
        found = [
            line.removeprefix(f"{file}").lstrip(": ")
            for line in lines(refused(run, system_file=file))
        ]
        assert what in found

    @pytest.mark.parametrize("text", ["a: [", "just words", "- 1", b"\xff\xfe\x00"])
    def test_of_a_file_that_is_none(self, run: Path, text: str | bytes) -> None:
        file = run.parent / "own.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        first, *rest = refused(run, system_file=file)
        assert first.where == str(file)
        assert len(rest) == len(ASKED)

    def test_of_a_file_that_is_not_there(self, run: Path) -> None:
        first, *_ = refused(run, system_file=run.parent / "nowhere.yaml")
        assert first.what == "No such file or directory"

    def test_of_two_systems_of_one_name(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("gpu-01"), seal("gpu-02")])
        own = {"gpu-01": {"system_id": "a30"}, "gpu-02": {"system_id": "A30"}}
        file = write_system_file(run.parent / "own.json", hosts=own)
        assert lines(refused(run, system_file=file)) == [
            "hosts.gpu-02.system_id: A30 is the system of gpu-01 too"
        ]


class TestQuantised:
    @pytest.fixture
    def quantised(self, seal: Seal, tmp_path: Path) -> Path:
        return collect(tmp_path / "results", [seal(engine={"quantization": "awq"})])

    def test_weights_have_a_history_that_is_asked_for(self, quantised: Path) -> None:
        assert [line.partition(": ")[0] for line in lines(refused(quantised))] == [
            "measurements.weight_data_types",
            "measurements.weight_transformations",
            "calibration",
        ]

    def test_weights_are_described(self, quantised: Path) -> None:
        file = write_system_file(
            quantised.parent / "own.json",
            measurements={"weight_data_types": "int4", "weight_transformations": "AWQ"},
            calibration="AWQ with 128 samples of MLPerf's calibration set.",
        )
        made = submit(quantised, system_file=file)
        page = made.folder / f"closed/{SUBMITTER}/documentation/calibration.md"
        assert "AWQ with 128 samples" in page.read_text(encoding="utf-8")

    def test_a_kv_cache_needs_a_description_too(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal(engine={"kv_cache_dtype": "fp8"})])
        (line,) = lines(refused(run))
        assert line.startswith("calibration: missing")
