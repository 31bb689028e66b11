"""plan_run tells how long the plans take before any host is touched."""

from __future__ import annotations

from pathlib import Path

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
