"""The README's command on the inventory as shipped, with real vLLM, from nothing to a report."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e_project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]

HOSTS = ("demo-a", "demo-b")
PHASES = ("offline-performance", "offline-accuracy", "server-performance", "server-accuracy")


@pytest.fixture(scope="module")
def first(project: Project) -> tuple[int, str]:
    return project.play()


@pytest.fixture(scope="module")
def report(project: Project, first: tuple[int, str]) -> dict[str, Any]:
    assert first[0] == 0, first[1][-4000:]
    loaded: dict[str, Any] = json.loads((project.latest / "report.json").read_text())
    return loaded


def summary_value(folder: Path, key: str) -> float:
    """A number of LoadGen's own summary, read without our parser."""
    text = (folder / "mlperf_log_summary.txt").read_text()
    found = re.search(rf"^{re.escape(key)}\s*: ([0-9.]+)$", text, re.MULTILINE)
    assert found, key
    return float(found[1])


def test_every_host_is_ok_and_the_report_is_named(
    first: tuple[int, str], report: dict[str, Any], project: Project
) -> None:
    assert {host["name"]: host["verdict"]["kind"] for host in report["hosts"]} == {
        "demo-a": "ok",
        "demo-b": "ok",
    }
    assert str(project.latest.resolve() / "report.html") in first[1].replace("\n", "")


def test_progress_of_each_host_was_shown_while_it_ran(first: tuple[int, str]) -> None:
    for host in HOSTS:
        lines = re.findall(rf"^\d\d:\d\d:\d\d {host}: (.+)$", first[1], re.MULTILINE)
        assert any("load" in line for line in lines)
        assert any("samples" in line for line in lines), lines


def test_reported_numbers_are_those_of_loadgens_own_summaries(
    project: Project, report: dict[str, Any]
) -> None:
    for host in report["hosts"]:
        phases = {phase["name"]: phase for phase in host["phases"]}
        assert tuple(phases) == PHASES
        folder = project.latest / "hosts" / host["name"] / "phases"
        offline, server = folder / "offline-performance", folder / "server-performance"
        assert phases["offline-performance"]["tokens_per_second"] == pytest.approx(
            summary_value(offline, "Tokens per second"), abs=0.006
        )
        assert phases["server-performance"]["tokens_per_second"] == pytest.approx(
            summary_value(server, "Completed tokens per second"), abs=0.006
        )
        assert phases["server-performance"]["ttft"]["percentiles"]["99.00"] == summary_value(
            server, "99.00 percentile first token latency (ns)"
        )
        assert phases["server-performance"]["tpot"]["percentiles"]["99.00"] == summary_value(
            server, "99.00 percentile time to output token (ns)"
        )


def test_answers_are_real_tokens_of_the_model(project: Project, report: dict[str, Any]) -> None:
    texts = {}
    for host in report["hosts"]:
        log = project.latest / "hosts" / host["name"] / "phases/offline-accuracy"
        entries = json.loads((log / "mlperf_log_accuracy.json").read_text())
        answers = {
            entry["qsl_idx"]: tuple(
                int.from_bytes(bytes.fromhex(entry["data"])[i : i + 4], "little")
                for i in range(0, len(entry["data"]) // 2, 4)
            )
            for entry in entries
        }
        assert len(answers) == 64
        vocabulary = host["model"]["vocabulary"]
        assert all(0 <= token < vocabulary for ids in answers.values() for token in ids)
        # A null engine gives every prompt the same answer; a model does not.
        assert len(set(answers.values())) > 32
        texts[host["name"]] = answers
        assert host["engine"]["version"].startswith("vllm")
    same = sum(texts["demo-a"][i] == texts["demo-b"][i] for i in range(64))
    assert same >= 48, f"the same model on two hosts agrees on {same} of 64 samples"


def test_labels_and_statement_keep_the_numbers_from_passing_for_mlperf(
    report: dict[str, Any],
) -> None:
    assert {"short", "synthetic-dataset", "random-weights"} <= set(report["labels"])
    assert "not an mlperf result" in report["statement"].lower().replace(
        "none of these numbers is an", "not an"
    )
    for host in report["hosts"]:
        assert all(item["passed"] is None for item in host["accuracy"])
        assert all("not applicable" in item["reason"] for item in host["accuracy"])


def test_hosts_of_one_machine_are_named_and_not_added_up(report: dict[str, Any]) -> None:
    assert report["hosts"][0]["shares_machine_with"] == ["demo-b"]
    for scenario in report["scenarios"]:
        assert scenario["aggregate_tokens_per_second"] is None
        assert "share a machine" in scenario["note"]


def test_all_files_of_the_report_are_there(project: Project, report: dict[str, Any]) -> None:
    page = (project.latest / "report.html").read_text()
    assert all(host in page for host in HOSTS)
    assert not re.search(r"<(?:script|img|iframe)[^>]*\ssrc=|<link\b|@import|url\(", page)
    rows = list(csv.DictReader((project.latest / "hosts.csv").open()))
    assert [row["host"] for row in rows] == list(HOSTS)
    newest = project.folder / "reports" / "latest"
    assert (newest / "mlperf_report.html").read_bytes() == page.encode()
    assert json.loads((newest / "mlperf_report.json").read_text()) == report


def test_no_process_is_left(project: Project, report: dict[str, Any]) -> None:
    assert report
    assert project.processes() == []


def test_the_same_id_again_repeats_nothing(project: Project, report: dict[str, Any]) -> None:
    before = {
        path.relative_to(project.latest): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((project.latest / "hosts").rglob("*"))
        if path.is_file()
    }
    page = (project.latest / "report.html").read_bytes()
    code, output = project.play("-e", f"loadfleet_run_id={report['run_id']}")
    assert code == 0, output[-4000:]
    after = {
        path.relative_to(project.latest): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((project.latest / "hosts").rglob("*"))
        if path.is_file()
    }
    assert after == before
    assert (project.latest / "report.html").read_bytes() == page


def test_check_mode_changes_nothing(project: Project, report: dict[str, Any]) -> None:
    runs = sorted(path.name for path in (project.folder / "results").iterdir())
    code, output = project.play("--check")
    assert code == 0, output[-4000:]
    assert sorted(path.name for path in (project.folder / "results").iterdir()) == runs
    assert json.loads((project.latest / "report.json").read_text()) == report


def test_one_changed_number_in_a_collected_log_fails_the_host(
    project: Project, report: dict[str, Any], tmp_path: Path
) -> None:
    copy = tmp_path / report["run_id"]
    shutil.copytree(project.latest.resolve(), copy)
    log = copy / "hosts/demo-b/phases/offline-performance/mlperf_log_detail.txt"
    text, count = re.subn(
        r'("key": "result_tokens_per_second", "value": )([0-9.]+)', r"\g<1>9\2", log.read_text()
    )
    assert count == 1
    log.write_text(text)
    done = subprocess.run(
        ["loadfleet", "report", str(copy), "--json"],
        capture_output=True, text=True, env=project.environment, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    changed = {host["name"]: host for host in json.loads(done.stdout)["hosts"]}
    assert changed["demo-a"]["verdict"]["kind"] == "ok"
    assert changed["demo-b"]["verdict"]["kind"] == "failed"
    assert "checksum" in changed["demo-b"]["verdict"]["reason"]
    assert changed["demo-b"]["phases"] == []
