"""MLCommons' own tools over what ``make mlperf-proof`` made. They are not part of this project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.plan import phase_name
from loadfleet_aggregator.submission.build import Submission, build_submission, parse_request
from loadfleet_aggregator.submission.finding import SubmissionRefused
from submission_check import SOURCE, TIMEOUT_S, check_package, mlcommons

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results"
SUITES = ("datacenter", "edge")
SUBMITTER = "loadfleet"

pytestmark = pytest.mark.skipif(
    SOURCE not in os.environ or not all((RESULTS / f"mlperf-proof-{s}").is_dir() for s in SUITES),
    reason=f"needs {SOURCE} and the results of make mlperf-proof",
)


def package(suite: str, division: str) -> Path:
    """Root of a package that ``make mlperf-proof`` has built."""
    return RESULTS / f"mlperf-proof-{suite}" / "submission" / division


def check(root: Path, summary: Path) -> tuple[int, str]:
    return check_package(root, "v6.1", SUBMITTER, summary)


def errors(said: str) -> list[str]:
    """The checker's error lines, without time and place in its source."""
    return [line.split("ERROR]", 1)[1].strip() for line in said.splitlines() if " ERROR]" in line]


@pytest.mark.parametrize("suite", SUITES)
def test_the_checker_accepts_the_open_package(suite: str, tmp_path: Path) -> None:
    code, said = check(package(suite, "open"), tmp_path / "summary.csv")
    assert code == 0, said
    assert errors(said) == []
    assert "submission looks OK" in said


@pytest.mark.parametrize("suite", SUITES)
def test_the_checker_finds_the_accuracy_alone_in_the_closed_package(
    suite: str, tmp_path: Path
) -> None:
    """Random weights cannot reach it; everything else is right."""
    code, said = check(package(suite, "closed"), tmp_path / "summary.csv")
    assert code == 1
    assert "accuracy not met" in said
    words = ("accuracy", "noresults", "has errors")
    for line in errors(said):
        assert any(word in line.lower() for word in words), line


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """What the checker finds in the closed datacenter package as it is."""
    summary = tmp_path_factory.mktemp("clean") / "summary.csv"
    return frozenset(errors(check(package("datacenter", "closed"), summary)[1]))


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def logged(key: str, value: int) -> Callable[[Path], None]:
    """Gives a key of LoadGen's detail log another value."""

    def spoil(path: Path) -> None:
        lines = path.read_text("utf-8").splitlines(keepends=True)
        found = [index for index, line in enumerate(lines) if f'"key": "{key}"' in line]
        assert found, f"{path} has no {key}"
        for index in found:
            entry = json.loads(lines[index].removeprefix(":::MLLOG "))
            lines[index] = f":::MLLOG {json.dumps(entry | {'value': value})}\n"
        path.write_text("".join(lines), "utf-8")

    return spoil


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        text = path.read_text("utf-8")
        assert old in text, f"{path} has no {old}"
        path.write_text(text.replace(old, new), "utf-8")

    return spoil


DETAIL = "mlperf_log_detail.txt"
SPOILED: dict[str, tuple[Mode, str, Callable[[Path], None]]] = {
    "log cut off": (Mode.PERFORMANCE, DETAIL, cut),
    "errors": (Mode.PERFORMANCE, DETAIL, logged("num_errors", 3)),
    "another seed": (Mode.PERFORMANCE, DETAIL, logged("effective_qsl_rng_seed", 1)),
    "too short": (Mode.PERFORMANCE, DETAIL, logged("effective_min_duration_ms", 60_000)),
    "no summary": (Mode.PERFORMANCE, "mlperf_log_summary.txt", Path.unlink),
    "no accuracy log": (Mode.ACCURACY, "mlperf_log_accuracy.json", Path.unlink),
    "too few samples": (
        Mode.ACCURACY,
        "accuracy.txt",
        replaced("'gen_num': 13368", "'gen_num': 9"),
    ),
    "another seed of accuracy": (Mode.ACCURACY, DETAIL, logged("effective_qsl_rng_seed", 1)),
    "failed test06": (
        Mode.TEST06,
        "verify_accuracy.txt",
        replaced("EOS check pass: True", "EOS check pass: False"),
    ),
}
"""Of the Server scenario: what is spoiled, in which file of which run."""
FOLDERS = {
    Mode.PERFORMANCE: "performance/run_1",
    Mode.ACCURACY: "accuracy",
    Mode.TEST06: "TEST06",
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_spoiled_package_is_refused_and_so_is_its_run(
    tmp_path: Path, clean: frozenset[str], what: str
) -> None:
    """By the checker as a package, by us as the run from which it would be made."""
    mode, name, spoil = SPOILED[what]
    root = tmp_path / "package"
    shutil.copytree(package("datacenter", "closed"), root)
    (system,) = (root / f"closed/{SUBMITTER}/results").iterdir()
    spoil(system / "llama3.1-8b/Server" / FOLDERS[mode] / name)
    code, said = check(root, tmp_path / "summary.csv")
    assert code == 1
    assert set(errors(said)) - clean, said

    run = tmp_path / "run"
    source = RESULTS / "mlperf-proof-datacenter"
    shutil.copytree(source, run, ignore=shutil.ignore_patterns("submission"))
    spoil(run / "hosts/proof/phases" / phase_name(Scenario.SERVER, mode) / name)
    with pytest.raises(SubmissionRefused) as caught:
        rehearse(run, tmp_path / "ours")
    assert any(phase_name(Scenario.SERVER, mode) in item.where for item in caught.value.findings)
    assert not (tmp_path / "ours").exists()


def rehearse(run: Path, output: Path) -> Submission:
    return build_submission(
        parse_request(
            folder=run,
            output=output,
            submitter=SUBMITTER,
            division="closed",
            system_file=HERE / "system.yaml",
            rehearsal=True,
        )
    )


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive"])
def test_test06_gives_what_the_official_script_gives(scenario: str, tmp_path: Path) -> None:
    (system,) = (package("datacenter", "closed") / f"closed/{SUBMITTER}/results").iterdir()
    folder = system / "llama3.1-8b" / scenario / "TEST06"
    done = subprocess.run(
        [sys.executable, mlcommons("compliance", "TEST06", "run_verification.py"),
         "-c", folder / "accuracy", "-o", tmp_path, "-s", scenario, "-d", "int32"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    official = tmp_path / "TEST06" / "verify_accuracy.txt"
    assert official.read_text("utf-8") == (folder / "verify_accuracy.txt").read_text("utf-8")


@pytest.mark.parametrize("scenario", ["Offline", "Server", "Interactive"])
def test_accuracy_logs_are_cut_as_the_official_script_cuts_them(
    scenario: str, tmp_path: Path
) -> None:
    """The script truncates a package in place and writes the hash of the whole log."""
    whole = RESULTS / "mlperf-proof-datacenter/hosts/proof/phases"
    root = tmp_path / "package"
    shutil.copytree(package("datacenter", "closed"), root)
    (system,) = (root / f"closed/{SUBMITTER}/results").iterdir()
    accuracy = system / "llama3.1-8b" / scenario / "accuracy"
    ours = {path.name: path.read_bytes() for path in accuracy.iterdir()}
    source = whole / f"{scenario.lower()}-accuracy"
    for name in ("mlperf_log_accuracy.json", "accuracy.txt"):
        shutil.copyfile(source / name, accuracy / name)
    done = subprocess.run(
        [sys.executable, mlcommons("tools", "submission", "truncate_accuracy_log.py"),
         "--input", root, "--submitter", SUBMITTER, "--backup", tmp_path / "backup"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in accuracy.iterdir()} == ours
