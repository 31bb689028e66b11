"""The file with what no host can tell of itself: read, and written as a template."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.profile import describe_errors
from pydantic import Field as ModelField
from pydantic import ValidationError

from ..text.terminal import printable
from .fields import EXTRA_FIELDS, MEASUREMENT_FIELDS, SYSTEM_FIELDS, Field, Source
from .finding import Finding
from .known import known_measurements, known_system, needs_calibration
from .measured import Measured

MISSING = "MISSING"
"""Stands in a template where a value is needed; a field that still has it counts as empty."""
SYSTEM_ID = "system_id"

Value = str | int | float


class SystemFile(Frozen):
    """What a user says about the systems; it goes before what the hosts say."""

    system: dict[str, Value | None] = ModelField(
        default={}, description="fields of the system description, for all hosts"
    )
    hosts: dict[str, dict[str, Value | None]] = ModelField(
        default={},
        description="host to fields of its own, which go before those for all, and its system_id: "
        "the name of its folder (default: the host's)",
    )
    measurements: dict[str, Value | None] = ModelField(
        default={}, description="fields of measurements.json, for all hosts"
    )
    calibration: str | None = ModelField(
        default=None, description="how weights were quantised, so that others can repeat it"
    )

    def system_id(self, host: str) -> str:
        return _text(self.hosts.get(host, {}).get(SYSTEM_ID)) or host

    def of_host(self, host: str) -> dict[str, str]:
        """The fields that are given for this host, without those that are empty."""
        given = self.system | self.hosts.get(host, {})
        return {name: text for name, value in given.items() if (text := _text(value))}

    @property
    def given_measurements(self) -> dict[str, str]:
        return {name: text for name, value in self.measurements.items() if (text := _text(value))}

    @property
    def given_calibration(self) -> str:
        return _text(self.calibration)


def _text(value: Value | None) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.startswith(MISSING) else text


def read_system_file(path: Path) -> tuple[SystemFile, list[Finding]]:
    """The file, and what is wrong with it; an unusable one counts as empty."""
    where = str(path)
    mend = "write one with --write-system-file and fill it in"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        file = SystemFile.model_validate({} if found is None else found)
    except OSError as error:
        return SystemFile(), [Finding(where=where, what=str(error.strerror), todo=mend)]
    except UnicodeDecodeError:
        return SystemFile(), [Finding(where=where, what="not UTF-8 text", todo=mend)]
    except yaml.YAMLError as error:
        what = f"neither YAML nor JSON: {str(error).splitlines()[0]}"
        return SystemFile(), [Finding(where=where, what=what, todo=mend)]
    except ValidationError as error:
        return SystemFile(), [Finding(where=where, what=describe_errors(error), todo=mend)]
    return file, list(_check_names(where, file))


def _check_names(where: str, file: SystemFile) -> Iterator[Finding]:
    system = {field.name for field in SYSTEM_FIELDS} | EXTRA_FIELDS
    sections: list[tuple[str, Mapping[str, object], set[str]]] = [
        ("system", file.system, system),
        ("measurements", file.measurements, {field.name for field in MEASUREMENT_FIELDS}),
        *((f"hosts.{host}", own, system | {SYSTEM_ID}) for host, own in file.hosts.items()),
    ]
    for section, given, known in sections:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                todo = f"write {near[0]}" if near else "take it out"
                yield Finding(where=f"{where} {section}.{name}", what="no such field", todo=todo)


def system_template(hosts: Sequence[Measured], file: SystemFile) -> str:
    """A file to fill in: what is known of each host, what ``file`` says already, and MISSING
    where MLPerf asks for a value."""
    lines = [
        "# What MLPerf asks about the systems of a submission. Values of hosts are from their",
        f"# own facts: mend what is wrong. {MISSING} must become a value; write n/a where nothing",
        "# fits. These are for all hosts; a host's own value below goes before them.",
        "system:",
    ]
    for field in _fields(Source.USER):
        lines += _entry(field, _text(file.system.get(field.name)), indent=2)
    lines += ["hosts:"]
    for host in hosts:
        known, own = known_system(host), file.of_host(host.host)
        lines += [f"  {host.host}:"]
        lines += ["    # its folder in the package"]
        lines += [f"    {SYSTEM_ID}: {json.dumps(file.system_id(host.host))}"]
        for field in _fields(Source.HOST):
            lines += _entry(field, own.get(field.name) or known.get(field.name) or "", indent=4)
    measured = _common([known_measurements(host) for host in hosts])
    lines += ["measurements:"]
    for field in MEASUREMENT_FIELDS:
        given = file.given_measurements.get(field.name)
        lines += _entry(field, given or measured.get(field.name) or "", indent=2)
    if any(needs_calibration(host) for host in hosts):
        lines += ["# how weights or KV cache were quantised, so that others can repeat it"]
        lines += [f"calibration: {json.dumps(file.given_calibration or MISSING)}"]
    return "\n".join(lines) + "\n"


def _fields(source: Source) -> Iterator[Field]:
    return (field for field in SYSTEM_FIELDS if field.source is source)


def _entry(field: Field, value: str, *, indent: int) -> list[str]:
    """A field with its comment; JSON's strings are YAML's too."""
    space = " " * indent
    comment = "; ".join(
        part for part in (field.hint, "" if field.required else "may stay empty") if part
    )
    if not value and field.required:
        value = MISSING
    line = f"{space}{field.name}: {json.dumps(printable(value), ensure_ascii=False)}"
    return [f"{space}# {comment}", line] if comment else [line]


def _common(values: Sequence[Mapping[str, str | None]]) -> dict[str, str]:
    """What all of them say."""
    first = values[0] if values else {}
    return {
        name: value
        for name, value in first.items()
        if value is not None and all(other.get(name) == value for other in values)
    }
