"""The playbook from an inventory to verdicts, with real ansible-playbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import FleetRun
from .helpers import LOCAL, Site

MISSPELT = "loadfleet_profil: no such setting; did you mean loadfleet_profile?"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


class TestWrongSettings:
    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return Site(tmp_path, {"one": LOCAL, "two": LOCAL})

    @staticmethod
    def assert_refused(site: Site, *said: str, arguments: tuple[str, ...] = ()) -> None:
        """Ended with the finding on one line, before anything was written or touched."""
        played = site.play(*arguments)
        assert played.returncode != 0
        assert played.has_line(*said), played.output
        assert "Traceback" not in played.output
        assert "Look at the host" not in played.output
        assert site.written() == []

    @pytest.mark.parametrize(
        ("name", "hosts"), [("group_vars/all.yml", "one, two"), ("host_vars/two.yml", "two")]
    )
    def test_a_misspelt_key_in_a_file_of_variables(self, site: Site, name: str, hosts: str) -> None:
        place = site.add(name, "loadfleet_profil: null-engine")
        self.assert_refused(site, f"{place}: {MISSPELT} (host {hosts})")

    def test_a_misspelt_key_in_the_inventory(self, site: Site) -> None:
        path = site.write(
            "hosts.yml", {"all": {"hosts": {"one": LOCAL | {"loadfleet_profil": "null-engine"}}}}
        )
        lines = path.read_text(encoding="utf-8").splitlines()
        (number,) = (n for n, line in enumerate(lines, start=1) if "loadfleet_profil" in line)
        self.assert_refused(site, f"{path}:{number}: {MISSPELT} (host one)")

    @pytest.mark.parametrize("name", ["<script>alert(1)</script>", "../up", "rack/one", "a b"])
    def test_a_host_whose_name_cannot_name_files(self, tmp_path: Path, name: str) -> None:
        site = Site(tmp_path, {"one": LOCAL, name: LOCAL})
        self.assert_refused(site, "a host's name in the inventory names files", f"(host {name})")

    def test_a_misspelt_key_on_the_command_line(self, site: Site) -> None:
        self.assert_refused(
            site, "'-e'", MISSPELT, arguments=("-e", "loadfleet_profil=null-engine")
        )

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("loadfleet_poll_s: 0", "loadfleet_poll_s: poll_s: input should be greater than 0"),
            ("loadfleet_model: {source: moon}", "loadfleet_model: model: "),
            ("loadfleet_profile: nowhere", "loadfleet_profile: no profile 'nowhere': give one of"),
            ("loadfleet_run_id: 7", "loadfleet_run_id: run_id: input should be a valid string"),
            ("loadfleet_run_id: ../up", "loadfleet_run_id: run_id: string should match pattern"),
        ],
    )
    def test_a_wrong_value(self, site: Site, line: str, said: str) -> None:
        place = site.add("host_vars/one.yml", line)
        self.assert_refused(site, f"{place}: {said}")


class TestCheckMode:
    def test_of_a_new_run_writes_nothing(self, tmp_path: Path) -> None:
        site = Site(tmp_path, {"good": LOCAL})
        played = site.play("--check")
        assert played.returncode == 0, played.output
        assert "Look at the host" in played.output
        assert site.written() == []

    def test_of_an_open_run_changes_nothing(self, fleet_run: FleetRun) -> None:
        site = fleet_run.site
        before = [tree(folder) for folder in (site.results, site.reports, site.homes)]
        assert all(before)
        site.play("--check")
        assert [tree(folder) for folder in (site.results, site.reports, site.homes)] == before


class TestFleet:
    def test_judges_every_host_and_stops_none_for_another(self, fleet_run: FleetRun) -> None:
        assert fleet_run.site.verdicts() == {
            "good": "ok",
            "gone": "unreachable",
            "odd": "failed",
        }, fleet_run.played.output

    def test_ends_with_an_error_as_not_every_host_is_ok(self, fleet_run: FleetRun) -> None:
        assert fleet_run.played.returncode != 0
        recap = {
            match[1]: int(match[2])
            for match in re.finditer(
                r"^(\w+)\s+: ok=.* failed=(\d+)", fleet_run.played.output, re.M
            )
        }
        assert recap == {"good": 0, "gone": 1, "odd": 1}

    def test_tells_where_and_why_a_host_failed(self, fleet_run: FleetRun) -> None:
        verdicts = {host["name"]: host["verdict"] for host in fleet_run.site.report()["hosts"]}
        assert verdicts["odd"]["phase"] == "inspect"
        assert "/usr/bin/python3-does-not-exist cannot be run" in verdicts["odd"]["reason"]
        assert verdicts["gone"]["phase"] == "inspect"
        assert "Connection refused" in verdicts["gone"]["reason"]
        assert "odd: failed at inspect because" in fleet_run.played.output

    def test_shows_the_progress_of_the_host_that_runs(self, fleet_run: FleetRun) -> None:
        lines = re.findall(r"^\d\d:\d\d:\d\d good: \d+/\d+ [\w-]+", fleet_run.played.output, re.M)
        assert lines

    def test_collects_all_but_the_logs_of_accuracy_runs(self, fleet_run: FleetRun) -> None:
        folder = fleet_run.site.results / "latest"
        host = folder / "hosts" / "good"
        assert (host / "manifest.json").is_file()
        assert (host / "phases" / "server-performance" / "mlperf_log_detail.txt").is_file()
        logs = {path.parent.name for path in host.rglob("mlperf_log_accuracy.json")}
        assert logs == {"offline-performance", "server-performance"}  # of a few answers, or none
        assert list((folder / "archives").iterdir()) == []

    def test_publishes_the_report(self, fleet_run: FleetRun) -> None:
        site = fleet_run.site
        published = site.reports / "latest" / "mlperf_report.html"
        assert published.read_bytes() == (site.results / "latest" / "report.html").read_bytes()

    def test_leaves_the_run_open_and_knows_who_has_finished(self, fleet_run: FleetRun) -> None:
        record = fleet_run.site.record()
        assert not record["closed"]
        finished = {name: host["finished"] for name, host in record["hosts"].items()}
        assert finished == {"good": True, "gone": False, "odd": False}

    def test_goes_on_with_the_run_and_repeats_no_finished_host(self, fleet_run: FleetRun) -> None:
        site = fleet_run.site
        before = site.report()
        runs = tree(site.homes / "good" / "runs")
        played = site.play("--limit", "good")
        assert played.returncode == 0, played.output
        assert site.report()["run_id"] == before["run_id"]
        assert tree(site.homes / "good" / "runs") == runs
        assert site.verdicts()["good"] == "ok"
        assert site.verdicts()["gone"] == "unreachable"


class TestUnknownTask:
    def test_is_told_once_before_anything_starts(self, tmp_path: Path) -> None:
        site = Site(tmp_path, {"one": LOCAL})
        site.write("host_vars/one.yml", {"loadfleet_evaluations": ["gsm8kk"]})
        played = site.play()
        assert played.returncode != 0
        (host,) = site.report()["hosts"]
        assert (host["verdict"]["kind"], host["verdict"]["phase"]) == ("failed", "prepare")
        assert "no task 'gsm8kk'; did you mean gsm8k" in host["verdict"]["reason"]
        assert not list((site.homes / "one" / "runs").glob("*/status.json"))
        assert "no run '" not in played.output  # there is nothing to collect, which is no news


class TestLostFleet:
    def test_still_gives_a_report(self, lost_run: FleetRun) -> None:
        assert lost_run.played.returncode != 0
        assert (lost_run.site.results / "latest" / "report.html").is_file(), lost_run.played.output
        assert lost_run.site.report()["headline"].startswith("0 of 2 hosts ok")

    def test_limits_the_run_to_the_selected_hosts(self, lost_run: FleetRun) -> None:
        assert lost_run.site.verdicts() == {
            "one": "unreachable",
            "two": "unreachable",
            "three": "missing",
        }
        assert lost_run.site.record()["hosts"]["three"]["plan_hash"] is None

    def test_keeps_the_prices_for_the_report(self, lost_run: FleetRun) -> None:
        hosts = lost_run.site.record()["hosts"]
        given, none = ({"per_gpu_hour": None, "per_kwh": price} for price in (0.3, None))
        assert [hosts[name]["prices"] for name in ("one", "two", "three")] == [given, given, none]

    def test_refuses_another_plan_for_the_open_run(self, lost_run: FleetRun) -> None:
        before = tree(lost_run.site.results)
        played = lost_run.site.play("-e", "loadfleet_server_target_qps=400")
        assert played.returncode != 0
        assert played.has_line("is not finished", "differs in scenarios", "-e loadfleet_run_id=")
        assert tree(lost_run.site.results) == before


class TestTasks:
    def test_before_the_wait_are_ten_at_most(self, tmp_path: Path) -> None:
        played = Site(tmp_path, {"one": LOCAL}).play("--list-tasks")
        assert played.returncode == 0, played.output
        tasks = [
            line.split("TAGS:")[0].strip()
            for line in played.output.splitlines()
            if line.startswith("      ") and "TAGS:" in line
        ]
        before = tasks[: tasks.index("Wait for the run")]
        once = {"Check the settings and plan the run", "agent : Build what the hosts install from"}
        assert once <= set(before)
        assert len(set(before) - once) <= 10
