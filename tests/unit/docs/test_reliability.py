"""docs/reliability.md has a row for each test of the fault suite, as the suite has it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

SUITE = Path(__file__).parents[2] / "faults"
spec = importlib.util.spec_from_file_location("fault_rows", SUITE / "fault_rows.py")
assert spec is not None
assert spec.loader is not None
fault_rows = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = fault_rows
spec.loader.exec_module(fault_rows)


def test_the_table_is_what_the_suite_says() -> None:
    page = fault_rows.PAGE.read_text(encoding="utf-8")
    assert fault_rows.with_table(page) == page, "make reliability"


def test_each_test_has_a_row_and_each_row_a_test() -> None:
    tests = [
        node.name
        for path in SUITE.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(tests) == sorted(fault_rows.ROWS)
