"""accuracy.txt and the cut of an accuracy log, as MLPerf's own tools have them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_aggregator.submission.accuracy_files import (
    accuracy_text_with_hash,
    cut_accuracy_log,
    failed_test06,
    prints_score,
)

from .official_runs import printed, published_score, reference_score

PUBLISHED_ACCURACY = [
    "redhat-l40s/offline",
    "redhat-l40s/server",
    "nvidia-b200x8/interactive",
    "intel-b60-edge/offline",
    "intel-b60-edge/singlestream",
]


class TestCut:
    @pytest.mark.parametrize("size", [0, 3, 4_095])
    def test_leaves_a_short_log_whole(self, tmp_path: Path, size: int) -> None:
        log = tmp_path / "log"
        log.write_bytes(bytes(i % 251 for i in range(size)))
        cut_accuracy_log(log, tmp_path / "cut")
        assert (tmp_path / "cut").read_bytes() == log.read_bytes()

    @pytest.mark.parametrize("size", [4_096, 5_000, 8_192, 1_000_003])
    def test_keeps_both_ends_of_a_longer_one(self, tmp_path: Path, size: int) -> None:
        content = bytes(i % 251 for i in range(size))
        log = tmp_path / "log"
        log.write_bytes(content)
        cut_accuracy_log(log, tmp_path / "cut")
        cut = (tmp_path / "cut").read_bytes()
        assert cut == content[:4_096] + b"\n\n...\n\n" + content[-4_096:]
        assert len(cut) == 8_199  # as the published logs of v5.1
        assert log.read_bytes() == content

    def test_hashes_the_whole_log(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_bytes(b"[whole]")
        (tmp_path / "accuracy.txt").write_bytes(b"\nResults\n")
        text = accuracy_text_with_hash(tmp_path / "accuracy.txt", tmp_path / "log")
        digest = hashlib.sha256(b"[whole]").hexdigest()
        assert text == f"\nResults\n\nhash={digest}\n".encode()


class TestScore:
    @pytest.mark.parametrize("name", PUBLISHED_ACCURACY)
    def test_is_found_as_submitters_have_published_it(self, mlperf_logs: Path, name: str) -> None:
        path = mlperf_logs / name / "accuracy.txt"
        assert prints_score(path, published_score(path))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("8167644", "np.int64(8167644)"),  # as the reference prints it under numpy 2
            ("8167644", "8167645"),
            ("'38.7792'", "'38.7793'"),
            ("'38.7792'", "'38.77920'"),
            ("{", "(", ),
        ],
    )  # fmt: skip
    def test_is_not_found_in_another_text(self, tmp_path: Path, old: str, new: str) -> None:
        score = reference_score(Suite.DATACENTER)
        text = printed(score)
        assert old in text
        path = tmp_path / "accuracy.txt"
        path.write_text(text, encoding="utf-8")
        assert prints_score(path, score)
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert not prints_score(path, score)

    def test_is_not_found_where_there_is_no_file(self, tmp_path: Path) -> None:
        assert not prints_score(tmp_path / "none", reference_score(Suite.EDGE))


class TestVerifiedTest06:
    WHOLE = (
        "First token check pass: True\nEOS check pass: True\nSample length check pass: True\n"
        "TEST06 verification complete\n"
    )

    def test_passes(self, tmp_path: Path) -> None:
        path = tmp_path / "verify_accuracy.txt"
        path.write_text(self.WHOLE, encoding="utf-8")
        assert failed_test06(path, streams=True) == []

    def test_skips_the_first_token_in_offline_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "verify_accuracy.txt"
        path.write_text(self.WHOLE.replace("pass: True", "pass: Skipped", 1), encoding="utf-8")
        assert failed_test06(path, streams=False) == []
        assert failed_test06(path, streams=True) == ["First token check pass: True"]

    @pytest.mark.parametrize("check", ["First token", "EOS", "Sample length"])
    def test_names_the_check_that_failed(self, tmp_path: Path, check: str) -> None:
        path = tmp_path / "verify_accuracy.txt"
        failed = self.WHOLE.replace(f"{check} check pass: True", f"{check} check pass: False")
        path.write_text(failed, encoding="utf-8")
        assert failed_test06(path, streams=True) == [f"{check} check pass: True"]
