"""What ran, by version and hash; hosts with the same are told once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from loadfleet_agent.contract.base import digest

from ...text.listing import some
from ..model import FleetReport, HostReport

MOST_NAMES = 8


@dataclass(frozen=True)
class Versions:
    engine: str
    loadgen: str
    seeds: str
    model: str
    weights: str
    dataset: str
    samples: int
    library: str
    origin: str
    skipped: tuple[tuple[str, str], ...]
    """Sources of the dataset that were not there, and why."""


@dataclass(frozen=True)
class VersionRow:
    versions: Versions
    hosts: int
    names: str


def version_rows(report: FleetReport) -> tuple[VersionRow, ...]:
    """The versions that most hosts have first."""
    found: dict[Versions, list[str]] = defaultdict(list)
    for host in report.hosts:
        if host.engine is not None:
            found[_versions(host)].append(host.name)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return tuple(VersionRow(v, len(names), some(names, MOST_NAMES)) for v, names in ordered)


def plan_digests(report: FleetReport) -> dict[str, str]:
    """Group to SHA-256 over the plan that its hosts share."""
    return {group: digest(plan) for group, plan in report.plans.items()}


def _versions(host: HostReport) -> Versions:
    assert host.engine is not None
    model, dataset = host.model, host.dataset
    return Versions(
        engine=host.engine.version,
        loadgen=host.phases[0].loadgen_version if host.phases else "",
        seeds=(host.phases[0].mlperf_round or "unknown") if host.phases else "",
        model=model.name if model else "",
        weights=(model.weights_sha256 or "not read") if model else "",
        dataset=dataset.label if dataset else "",
        samples=dataset.samples if dataset else 0,
        library=dataset.library_sha256 if dataset else "",
        origin=dataset.origin if dataset else "",
        skipped=tuple((s.source, s.reason) for s in dataset.skipped) if dataset else (),
    )
