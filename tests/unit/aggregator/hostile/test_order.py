"""The same files give the same bytes: in any order of hosts, in any process."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_aggregator.fleet.record import HOSTS, RUN_RECORD
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.render import write_reports
from loadfleet_aggregator.stragglers.evidence import Evidence
from loadfleet_aggregator.stragglers.find import find_flags
from loadfleet_aggregator.stragglers.model import Speed
from waiting import LONG_S

from .conftest import FILES, Fleet

WRITE = """
import sys
from pathlib import Path
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.render import write_reports
folder = Path(sys.argv[1])
write_reports(build_report(folder), folder)
"""


def written(folder: Path) -> list[bytes]:
    write_reports(build_report(folder), folder)
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_hosts_never_matters(seed: int, three: Fleet, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(three.folder, tmp_path / three.folder.name))
    before = written(folder)
    record = json.loads((folder / RUN_RECORD).read_bytes())
    names = sorted(record["hosts"])
    random.Random(seed).shuffle(names)
    assert len(names) == 4
    record["hosts"] = {name: record["hosts"][name] for name in names}
    (folder / RUN_RECORD).write_text(json.dumps(record), encoding="utf-8")
    away = folder.parent / "away"
    (folder / HOSTS).rename(away)
    (folder / HOSTS).mkdir()
    for name in names:  # the order in which a file system lists them
        if (away / name).is_dir():
            (away / name).rename(folder / HOSTS / name)
    assert written(folder) == before


def test_two_processes_write_the_same_bytes(three: Fleet, tmp_path: Path) -> None:
    found = []
    for seed in ("1", "2"):
        folder = Path(shutil.copytree(three.folder, tmp_path / seed / three.folder.name))
        subprocess.run(
            [sys.executable, "-c", WRITE, folder],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed}"},
            check=True, timeout=LONG_S,
        )  # fmt: skip
        found.append([(folder / name).read_bytes() for name in FILES])
    assert found[0] == found[1]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[dict[str, list[Speed]], dict[str, Evidence]]:
    """Speeds and facts of up to 30 hosts, some with the same values."""
    names = [f"host-{index}" for index in range(draw(st.integers(1, 30)))]
    values = st.one_of(
        st.floats(900, 1100),
        st.sampled_from((100.0, 970.0, 1000.0, 5000.0)),
        st.floats(1e-9, 1e12),
    )
    speeds: dict[str, list[Speed]] = {}
    evidence: dict[str, Evidence] = {}
    for name in names:
        speeds[name] = [
            Speed(metric=metric, value=draw(values), work=draw(st.sampled_from((900.0, 988.0))))
            for metric in draw(st.sampled_from(((), ("a",), ("a", "b"))))
        ]
        evidence[name] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "driver": st.sampled_from(("580", "570")),
                    "SM clock MHz": st.floats(0, 3000),
                    "ECC errors, uncorrected": st.sampled_from((0.0, 1.0)),
                },
            )
        )
    return speeds, evidence


@given(fleet=fleets(), order=st.randoms(use_true_random=False))
def test_flags_do_not_depend_on_the_order_of_hosts(
    fleet: tuple[dict[str, list[Speed]], dict[str, Evidence]], order: random.Random
) -> None:
    speeds, evidence = fleet
    names = list(speeds)
    order.shuffle(names)
    shuffled = {name: speeds[name] for name in names}
    order.shuffle(names)
    facts = {name: evidence[name] for name in names}
    assert find_flags(shuffled, facts) == find_flags(speeds, evidence)


@given(fleet=fleets(), power=st.integers(-20, 20))
def test_flags_do_not_depend_on_the_unit_of_speed(
    fleet: tuple[dict[str, list[Speed]], dict[str, Evidence]], power: int
) -> None:
    speeds, evidence = fleet
    # A power of two changes no digit, so that no rounding decides.
    scaled = {
        name: [speed.model_copy(update={"value": speed.value * 2.0**power}) for speed in of_host]
        for name, of_host in speeds.items()
    }
    assert find_flags(scaled, evidence) == find_flags(speeds, evidence)
