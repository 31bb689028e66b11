"""Asking for packages, as the command does, and what must be true of every refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.submission.build import Submission, build_submission, parse_request
from loadfleet_aggregator.submission.finding import Finding, SubmissionRefused

from ..helpers import snapshot

SUBMITTER = "Example"
WHERE = "hosts/gpu-01"
OFFLINE = "phases/offline-performance"
DETAIL = f"{OFFLINE}/mlperf_log_detail.txt"
ASKED: dict[str, str] = {
    "status": "available",
    "host_memory_configuration": "16x 16GB 2Rx8 PC4-3200 ECC",
    "host_storage_type": "NVMe SSD",
    "host_storage_capacity": "1.9 TB",
    "host_networking": "2x 25 Gb/s Ethernet",
    "host_network_card_count": "1x 25GbE dual port",
    "host_networking_topology": "n/a",
    "accelerator_memory_configuration": "HBM2",
    "cooling": "air",
}
"""What MLPerf asks and no host knows of itself."""


def write_system_file(path: Path, **sections: Any) -> Path:
    """A whole system file, its sections extended or replaced."""
    content = {"system": ASKED | sections.pop("system", {})} | sections
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def submit(folder: Path, **changes: Any) -> Submission:
    """A package of the run, by default a closed one of v6.1 with a whole system file."""
    usual: Mapping[str, Any] = {
        "output": folder.parent / "package",
        "submitter": SUBMITTER,
        "division": "closed",
        "system_file": folder.parent / "system.json",
    }
    if "system_file" not in changes:
        write_system_file(folder.parent / "system.json")
    return build_submission(parse_request(folder=folder, **(dict(usual) | changes)))


def refused(folder: Path, **changes: Any) -> list[Finding]:
    """Why there is no package. Nothing may have been written, and each reason says all."""
    write_system_file(folder.parent / "system.json")
    before = snapshot(folder.parent)
    with pytest.raises(SubmissionRefused) as caught:
        submit(folder, **({"system_file": folder.parent / "system.json"} | changes))
    assert snapshot(folder.parent) == before
    findings = list(caught.value.findings)
    assert findings
    for finding in findings:
        assert finding.where
        assert finding.what
        assert finding.todo
        assert "\n" not in str(finding)
    assert len(set(findings)) == len(findings)
    return findings


def told(folder: Path, **changes: Any) -> str:
    """The one reason why there is no package: where and what."""
    (line,) = lines(refused(folder, **changes))
    return line


def lines(findings: list[Finding]) -> list[str]:
    """Where and what, without what to do."""
    return [f"{finding.where}: {finding.what}" for finding in findings]
