"""Writes a package's tree: LoadGen's files as they are, and the texts around them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.plan import phase_name
from loadfleet_agent.contract.run_folder import ACCURACY_LOG, PHASES, USER_CONF, file_sha256

from .accuracy_files import accuracy_text_with_hash, cut_accuracy_log
from .description import Description
from .finding import Finding, SubmissionRefused
from .measured import COLLECT_AGAIN, Measured
from .pages import (
    Package,
    bandwidth_page,
    calibration_page,
    package_readme,
    scenario_readme,
    source_readme,
)
from .rounds import Division, PackagedFile, Round, Treatment
from .rules import needs_test06, packaged_files
from .source_code import write_source

REHEARSAL = "rehearsal, not for submission"
EMPTY_USER_CONF = "# Empty: LoadGen's own mlperf.conf decides everything.\n"
"""The submission checker refuses an empty file; a run of official length may set nothing."""


@dataclass(frozen=True)
class Part:
    """One system of a package."""

    host: Measured
    description: Description


def write_package(
    root: Path, package: Package, round_: Round, division: Division, parts: Sequence[Part]
) -> None:
    """Writes everything below ``root``.

    Raises SubmissionRefused if a file is no longer as it was when it was checked.
    """
    folder = root / division.value / package.submitter
    described = {part.description.system_id: part.host for part in parts}
    for part in parts:
        _write_system(folder, package, round_, division, part)
    source = folder / package.source
    source.mkdir(parents=True)
    write_source(source, described)
    _write(source / "README.md", source_readme(package, described))
    pages = folder / "documentation"
    descriptions = [part.description for part in parts]
    _write(pages / "README.md", package_readme(package, described))
    _write(pages / "calibration.md", calibration_page(package, described, descriptions))
    if parts[0].host.suite is Suite.DATACENTER:
        _write(pages / "bandwidth.md", bandwidth_page(package, described))
    if division is Division.OPEN:
        # A benchmark's folder that has MLPerf's own name, mapped to itself.
        _write_json(folder / "model_mapping.json", {package.benchmark: package.benchmark})


def _write_system(
    folder: Path, package: Package, round_: Round, division: Division, part: Part
) -> None:
    host, description = part.host, part.description
    system = description.system
    if package.flaws:
        system = system | {"sw_notes": "; ".join(filter(None, (REHEARSAL, system["sw_notes"])))}
    _write_json(folder / "systems" / f"{description.system_id}.json", system)
    for scenario in host.scenarios:
        places = {
            "system": description.system_id,
            "benchmark": package.benchmark,
            "scenario": scenario.value,
        }
        for file in packaged_files(host, round_, division):
            _write_file(folder / file.path.format_map(places), file, host, scenario)
        _write_json(folder / round_.measurements.format_map(places), description.measurements)
        score = next(
            item
            for item in package.scores
            if (item.system, item.scenario) == (description.system_id, scenario)
        )
        _write(
            folder / round_.scenario_readme.format_map(places),
            scenario_readme(
                package,
                description.system_id,
                host,
                score,
                with_test06=needs_test06(host, round_, division),
            ),
        )


def _write_file(target: Path, file: PackagedFile, host: Measured, scenario: Scenario) -> None:
    phase = host.phase(scenario, file.mode)
    assert phase is not None  # the rules were checked
    source = host.phase_folder(scenario, file.mode) / file.source
    target.parent.mkdir(parents=True, exist_ok=True)
    match file.treatment:
        case Treatment.CUT:
            _require_unchanged(source, file.source, file.mode, scenario, host, phase.files)
            cut_accuracy_log(source, target)
        case Treatment.WITH_HASH:
            target.write_bytes(accuracy_text_with_hash(source, source.with_name(ACCURACY_LOG)))
        case Treatment.WHOLE:
            shutil.copyfile(source, target)
            _require_unchanged(target, file.source, file.mode, scenario, host, phase.files)
            if file.source == USER_CONF and target.stat().st_size == 0:
                _write(target, EMPTY_USER_CONF)


def _require_unchanged(
    path: Path, name: str, mode: Mode, scenario: Scenario, host: Measured, hashes: Mapping[str, str]
) -> None:
    """The bytes are those whose hash was taken as LoadGen ended."""
    if file_sha256(path) != hashes[name]:
        raise SubmissionRefused(
            [
                Finding(
                    where=host.where(PHASES, phase_name(scenario, mode), name),
                    what="not as it was when LoadGen ended",
                    todo=COLLECT_AGAIN,
                )
            ]
        )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    _write(path, json.dumps(value, indent=2) + "\n")
