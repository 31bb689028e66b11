"""A system as its package describes it: from the system file first, from the host's facts else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadfleet_agent.contract.base import NAME_PATTERN

from .fields import EXTRA_FIELDS, MEASUREMENT_FIELDS, SYSTEM_FIELDS, VALID_STATUS, Field, Source
from .finding import Finding
from .known import known_measurements, known_system, needs_calibration
from .measured import Measured
from .rounds import Division
from .system_file import SYSTEM_ID, SystemFile

MEASURED_FIELDS = (
    "submitter",
    "division",
    "system_type",
    "number_of_nodes",
    "accelerators_per_node",
)
"""What the run and the command decide; a system file cannot say otherwise."""
FILL_IN = "say it in the system file (--write-system-file makes one)"


@dataclass(frozen=True)
class Description:
    """Everything that is said of a system, none of it measured by LoadGen."""

    system_id: str
    """Name of its folder."""
    system: dict[str, str]
    """systems/<system_id>.json."""
    measurements: dict[str, str]
    calibration: str
    """How the weights were quantised; '' if they were not."""


def describe(
    host: Measured, file: SystemFile, submitter: str, division: Division
) -> tuple[Description, list[Finding]]:
    """The description, and what it lacks or says wrongly."""
    given = file.of_host(host.host)
    known = known_system(host) | {"submitter": submitter, "division": division.value}
    system = {
        field.name: given.get(field.name) or known.get(field.name) or "" for field in SYSTEM_FIELDS
    } | {name: given[name] for name in sorted(EXTRA_FIELDS & set(given))}
    said = known_measurements(host) | file.given_measurements
    measurements = {field.name: said.get(field.name) or "" for field in MEASUREMENT_FIELDS}
    calibration = file.given_calibration
    found = Description(file.system_id(host.host), system, measurements, calibration)
    return found, [
        *_missing(host, system, measurements),
        *_contradictions(host, given, known),
        *_missing_calibration(host, calibration),
    ]


def _missing(
    host: Measured, system: dict[str, str], measurements: dict[str, str]
) -> Iterator[Finding]:
    for field in SYSTEM_FIELDS:
        if field.required and not system[field.name]:
            section = "system" if field.source is Source.USER else f"hosts.{host.host}"
            yield _missing_field(section, field)
    for field in MEASUREMENT_FIELDS:
        if not measurements[field.name]:
            yield _missing_field("measurements", field)


def _missing_field(section: str, field: Field) -> Finding:
    hint = f": {field.hint}" if field.hint else ""
    return Finding(where=f"{section}.{field.name}", what=f"missing{hint}", todo=FILL_IN)


def _contradictions(
    host: Measured, given: dict[str, str], known: dict[str, str | None]
) -> Iterator[Finding]:
    """What the file says and the run knows better."""
    for name in MEASURED_FIELDS:
        said = given.get(name)
        if said is not None and said != known[name]:
            yield Finding(
                where=f"hosts.{host.host}.{name}",
                what=f"{said}, but the run says {known[name]}",
                todo="take it out of the system file",
            )
    status = given.get("status", VALID_STATUS[0])
    if status not in VALID_STATUS:
        todo = f"write {', '.join(VALID_STATUS[:-1])} or {VALID_STATUS[-1]}"
        yield Finding(where="system.status", what=f"no such status: {status}", todo=todo)


def _missing_calibration(host: Measured, calibration: str) -> Iterator[Finding]:
    if needs_calibration(host) and not calibration:
        yield Finding(
            where="calibration",
            what="missing: weights or KV cache are quantised, and the rules ask how",
            todo=FILL_IN,
        )


def check_system_ids(hosts: Sequence[Measured], file: SystemFile) -> Iterator[Finding]:
    """Ids that cannot be a folder's name, and two systems with one id."""
    taken: dict[str, str] = {}
    for host in hosts:
        name = file.system_id(host.host)
        where = f"hosts.{host.host}.{SYSTEM_ID}"
        if not re.fullmatch(NAME_PATTERN, name):
            todo = "use letters, digits, dot, dash and underscore"
            yield Finding(where=where, what=f"{name!r} cannot be a folder's name", todo=todo)
        elif (other := taken.setdefault(name.lower(), host.host)) != host.host:
            yield Finding(
                where=where,
                what=f"{name} is the system of {other} too",
                todo="a system is one host: give each an id of its own, or choose one with --host",
            )
