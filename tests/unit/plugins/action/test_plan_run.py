"""plan_run tells how long the plans take before any host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..helpers import LOCAL, Site


def test_the_estimate_is_shown_once_for_equal_hosts_also_in_check_mode(tmp_path: Path) -> None:
    site = Site(tmp_path, {"one": LOCAL, "two": LOCAL, "slow": LOCAL})
    site.add("host_vars/slow.yml", "loadfleet_server_target_qps: 50")
    played = site.play("--check", "--tags", "plan")
    assert played.returncode == 0, played.output
    lines = played.output.splitlines()
    heads = [line for line in lines if line.startswith("plan of")]
    assert heads == ["plan of each of one, two:", "plan of slow:"]
    runs = [line.split()[:4] for line in lines if line.startswith("  server-performance")]
    assert runs == [
        ["server-performance", "512", "1", "s"],
        ["server-performance", "512", "10", "s"],
    ]
    assert played.has_line("  not MLPerf: length: a short run")
    assert played.output.index("plan of") < played.output.index("PLAY RECAP")
    assert site.written() == []


def test_the_hours_of_a_study_are_told_first_also_in_check_mode(tmp_path: Path) -> None:
    site = Site(tmp_path, {"one": LOCAL, "two": LOCAL, "three": LOCAL})
    site.add("group_vars/all.yml", "loadfleet_offline_target_qps: 8")
    study = '{"loadfleet_study": "scaling", "loadfleet_study_hosts": 2}'
    played = site.play("--check", "-e", study)
    assert played.returncode == 0, played.output
    assert played.has_line("study 2", "each of one, two alone and all together, 3 times")
    assert played.has_line("9 runs, one after the other")
    # 16 samples at 8 a second.
    assert played.has_line("9 x 2 s is 0.0 h of LoadGen runs")
    assert played.has_line("together 0.5 h")
    assert played.has_line("plan of each of one, two:")
    assert "server-performance" not in played.output
    assert site.written() == []


def test_the_hours_of_a_study_are_an_example_where_no_rate_is_known(tmp_path: Path) -> None:
    site = Site(tmp_path, {"one": LOCAL, "two": LOCAL})
    played = site.play("--check", "--tags", "plan", "-e", "loadfleet_study=scaling")
    assert played.has_line(
        "9 x 3 s is 0.0 h of LoadGen runs, if a host does 5 samples a second: that is not known"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-e", "loadfleet_study=scaling", "--limit", "one"), "needs two hosts or more"),
        (
            ("-e", '{"loadfleet_study": "scaling", "loadfleet_scenarios": ["Server"]}'),
            "add Offline",
        ),
        (("-e", '{"loadfleet_sync_start": true}', "--forks", "1"), "add --forks 2"),
        (("-e", "loadfleet_study=scaling", "--forks", "1"), "add --forks 2"),
        (("-e", "loadfleet_study=speed"), "loadfleet_study: study: input should be 'scaling'"),
    ],
)
def test_what_cannot_be_is_refused_before_a_host_is_touched(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    site = Site(tmp_path, {"one": LOCAL, "two": LOCAL})
    played = site.play(*arguments)
    assert played.returncode != 0
    assert played.has_line(said), played.output
    assert "Traceback" not in played.output
    assert "Look at the host" not in played.output
    assert site.written() == [] or site.written() == [str(site.results / ".lock")]
