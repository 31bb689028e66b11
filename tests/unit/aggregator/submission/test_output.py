"""A package is written whole, in a place of its own, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.submission import build

from ..helpers import edit_json, reseal, snapshot
from .packages import WHERE, submit, told


class TestOutput:
    def test_that_is_there_is_left_alone(self, run: Path) -> None:
        made = submit(run)
        assert told(run) == f"{made.folder}: is there already"

    def test_that_is_a_package_is_replaced_on_demand(self, run: Path) -> None:
        made = submit(run)
        readme = made.folder / "closed/Example/documentation/README.md"
        readme.write_text("changed", encoding="utf-8")
        submit(run, force=True)
        assert "Scores" in readme.read_text(encoding="utf-8")
        assert {path.name for path in run.parent.iterdir()} == {"package", "run-1", "system.json"}

    @pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.write_text("kept")])
    def test_that_is_something_else_is_never_replaced(
        self, run: Path, make: Callable[[Path], object]
    ) -> None:
        output = run.parent / "mine"
        make(output)
        if output.is_dir():
            (output / "kept").write_text("kept", encoding="utf-8")
        assert told(run, output=output, force=True) == f"{output}: is not a submission package"

    @pytest.mark.parametrize("force", [False, True])
    def test_is_not_left_half_written(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, force: bool
    ) -> None:
        if force:
            submit(run)
        before = snapshot(run.parent)

        def fail(root: Path, *rest: Any) -> None:
            write(root, *rest)
            raise OSError("No space left on device")

        write = build.write_package
        monkeypatch.setattr(build, "write_package", fail)
        with pytest.raises(OSError, match="No space left"):
            submit(run, force=force)
        after = snapshot(run.parent)
        assert {name for name in after if name != "system.json"} == {
            name for name in before if name != "system.json"
        }
        assert all(after[name] == content for name, content in before.items())


class TestSource:
    def test_of_another_version_than_ran(self, run: Path, host: Path) -> None:
        edit_json(
            host / "host.json", lambda facts: facts["packages"].update({"loadfleet-agent": "0.0.9"})
        )
        reseal(host)
        assert told(run) == (
            f"{WHERE}/host.json: ran loadfleet-agent 0.0.9, and the source code here is of 0.1.0"
        )
