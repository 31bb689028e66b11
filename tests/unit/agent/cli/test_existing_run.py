"""pack."""

from __future__ import annotations

import tarfile
from pathlib import Path

from ..conftest import FinishedRun


def test_a_pack_holds_the_run_without_its_accuracy_logs(
    null_run: FinishedRun, tmp_path: Path
) -> None:
    files = {
        path.relative_to(null_run.folder).as_posix(): path.read_bytes()
        for path in null_run.folder.rglob("*")
        if path.is_file()
    }
    for flags, wanted in (
        (["--accuracy-logs"], set(files)),
        ([], {name for name in files if not name.endswith("-accuracy/mlperf_log_accuracy.json")}),
    ):
        archive = tmp_path / f"run{len(flags)}.tar.gz"
        done = null_run.agent("pack", "--output", str(archive), *flags)
        assert done.returncode == 0, done.stderr
        with tarfile.open(archive) as opened:
            content = {
                member.name: stream.read()
                for member in opened.getmembers()
                if (stream := opened.extractfile(member))
            }
        assert content == {name: files[name] for name in wanted}
    assert {path.name for path in tmp_path.iterdir()} == {"run0.tar.gz", "run1.tar.gz"}


def test_a_pack_that_cannot_be_written_is_told_on_one_line(null_run: FinishedRun) -> None:
    done = null_run.agent("pack", "--output", "/proc/none/run.tar.gz")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/proc/none" in done.stderr
