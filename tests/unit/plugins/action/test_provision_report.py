"""Reasons of one line, whatever a task said."""

from __future__ import annotations

from ..helpers import load_plugin

reasons_of = load_plugin("provision_report").reasons_of


def test_each_of_our_findings_is_a_reason() -> None:
    text = "gpu-01: no GPU: look at it\ngpu-01: 2 GiB free: free some"
    assert reasons_of("gpu-01", text) == ["no GPU: look at it", "2 GiB free: free some"]


def test_a_long_message_of_another_tool_becomes_one_line() -> None:
    (reason,) = reasons_of("gpu-01", "apt failed:\n  E: broken\n" + "x" * 1000)
    assert reason.startswith("apt failed: E: broken xxx")
    assert len(reason) == 400
