"""What is locked has hashes, and what is asked about is all that is locked."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "locks"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", LOCKS / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_environment_has_a_lock_and_every_version_in_it_a_hash(audit: ModuleType) -> None:
    names = {path.name for path in audit.lock_files()}
    assert names == {path.name for path in LOCKS.glob("*.txt")} - {
        "no-torchvision.txt", "audit-accepted.txt",
    }  # fmt: skip
    for path in audit.lock_files():
        entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
        packages = [entry for entry in entries if not entry.startswith("#") and "==" in entry]
        assert packages
        for entry in packages:
            assert "--hash=sha256:" in entry, f"{path.name}: {entry.splitlines()[0]}"


def test_all_that_is_locked_is_asked_about(audit: ModuleType, tmp_path: Path) -> None:
    lock = tmp_path / "x.txt"
    lock.write_text("torch==2.13.0+cpu \\\n    --hash=sha256:0\nvllm==0.32.0 ; x == 'y'\n")
    other = tmp_path / "y.txt"
    other.write_text("torch==2.13.0 \\\nvllm==0.31.1 \\\n")
    found = audit.pins([lock, other])
    assert found == {"torch": {"2.13.0"}, "vllm": {"0.32.0", "0.31.1"}}
    assert audit.rounds(found) == [["torch==2.13.0", "vllm==0.31.1"], ["vllm==0.32.0"]]


def test_a_vulnerability_is_accepted_with_a_reason_alone(audit: ModuleType) -> None:
    assert audit.accepted("# head\nPYSEC-1 no fix yet\n\n") == {"PYSEC-1": "no fix yet"}
    with pytest.raises(ValueError, match="no reason"):
        audit.accepted("PYSEC-1\n")
    audit.accepted(audit.ACCEPTED.read_text(encoding="utf-8"))
