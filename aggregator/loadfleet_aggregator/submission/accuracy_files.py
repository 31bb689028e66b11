"""The files of an accuracy run and of TEST06: read, and cut as MLPerf's rules say."""

from __future__ import annotations

from pathlib import Path

from loadfleet_agent.contract.result import RougeScore
from loadfleet_agent.contract.run_folder import file_sha256

VISIBLE_BYTES = 4_096
CUT_MARK = b"\n\n...\n\n"
MAX_TEXT_BYTES = 1 << 20


def cut_accuracy_log(source: Path, target: Path) -> None:
    """Writes the first and the last 4,096 bytes of a log with a mark between; one that is
    shorter than 4,096 bytes whole.

    As ``tools/submission/truncate_accuracy_log.py`` of mlcommons/inference cuts it.
    """
    size = source.stat().st_size
    with source.open("rb") as stream:
        if size < VISIBLE_BYTES:
            target.write_bytes(stream.read())
            return
        first = stream.read(VISIBLE_BYTES)
        stream.seek(size - VISIBLE_BYTES)
        target.write_bytes(first + CUT_MARK + stream.read(VISIBLE_BYTES))


def accuracy_text_with_hash(text: Path, log: Path) -> bytes:
    """The printed accuracy as it is, and a line with the SHA-256 of the whole log."""
    return text.read_bytes() + f"\nhash={file_sha256(log)}\n".encode()


def prints_score(text: Path, score: RougeScore) -> bool:
    """Whether accuracy.txt has the score in the line that MLPerf's evaluation prints.

    The submission checker finds its numbers by patterns over that line: ROUGE as text or number,
    the lengths as plain integers only.
    """
    names = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    line = str(
        {name: f"{getattr(score, name)}" for name in names}
        | {"gen_len": score.gen_len, "gen_num": score.gen_num}
    )
    return line in _lines(text)


def failed_test06(text: Path, *, streams: bool) -> list[str]:
    """The lines that verify_accuracy.txt lacks of a passed TEST06."""
    first = "True" if streams else "Skipped"
    wanted = (
        f"First token check pass: {first}",
        "EOS check pass: True",
        "Sample length check pass: True",
    )
    found = _lines(text)
    return [line for line in wanted if line not in found]


def _lines(text: Path) -> list[str]:
    """Of a small text file; none of one that is absent or large."""
    try:
        if text.stat().st_size > MAX_TEXT_BYTES:
            return []
        return [line.strip() for line in text.read_text("utf-8", "replace").splitlines()]
    except OSError:
        return []
