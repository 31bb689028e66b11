"""Ids of hosts are safe and never the same."""

from __future__ import annotations

import re

from loadfleet_aggregator.report.views.anchor import anchor

NAMES = (
    "gpu-01", "gpu_01", "gpu.01", "GPU-01", "gpu 01", "gpu_20_01", "gpu__", "gpu_", "",
    "<script>alert(1)</script>", '"onmouseover=', "\u202egpu", "gpü", "g" * 300,
    "gpu_5f_01", "gpu_5f_5f_01",
)  # fmt: skip


def test_no_two_names_have_one_id() -> None:
    assert len({anchor(name) for name in NAMES}) == len(NAMES)


def test_ids_need_no_escape_anywhere() -> None:
    assert all(re.fullmatch(r"host-[A-Za-z0-9._-]*", anchor(name)) for name in NAMES)


def test_plain_names_stay_readable() -> None:
    assert anchor("gpu-01.rack2") == "host-gpu-01.rack2"
