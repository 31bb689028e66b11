"""From a run's folder to a submission package, whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadfleet_agent.contract.base import NAME_PATTERN
from loadfleet_agent.contract.files import PRIVATE_FOLDER

from ..fleet.record import RunRecord, read_record
from .alike import check_alike
from .description import check_system_ids, describe
from .finding import Finding, SubmissionRefused
from .measured import Measured, choose_hosts, read_hosts
from .package import Part, write_package
from .pages import new_package
from .rounds import NEWEST_ROUND, ROUNDS, Division, Round
from .rules import check_host
from .scores import Score, score_host
from .source_code import check_source
from .system_file import SystemFile, read_system_file, system_template


@dataclass(frozen=True)
class Request:
    """What a user asks for."""

    folder: Path
    """A run's folder on the controller."""
    output: Path
    submitter: str
    division: Division
    round: Round
    hosts: tuple[str, ...] = ()
    """Empty: all that took part."""
    system_file: Path | None = None
    rehearsal: bool = False
    """Build the package in spite of findings that a rehearsal may have; it says so throughout."""
    force: bool = False
    """Replace a package that is there."""


@dataclass(frozen=True)
class Submission:
    """A package that was written."""

    folder: Path
    systems: tuple[str, ...]
    scores: tuple[Score, ...]
    flaws: tuple[Finding, ...]
    """What makes it a rehearsal; none in a package that can be submitted."""


def parse_request(
    *,
    folder: Path,
    output: Path | None,
    submitter: str,
    division: str,
    round_name: str = NEWEST_ROUND,
    hosts: tuple[str, ...] = (),
    system_file: Path | None = None,
    rehearsal: bool = False,
    force: bool = False,
) -> Request:
    """A request from plain words. Raises SubmissionRefused with every one that is wrong.

    ``output`` is by default ``submission/<division>`` in the run's folder.
    """
    wrong = []
    if not re.fullmatch(NAME_PATTERN, submitter):
        todo = "use letters, digits, dot, dash and underscore: it names a folder"
        wrong.append(Finding(where="--submitter", what=repr(submitter), todo=todo))
    if division not in list(Division):
        wrong.append(_no_such("--division", division, list(Division)))
    if round_name not in ROUNDS:
        wrong.append(_no_such("--round", round_name, list(ROUNDS)))
    if wrong:
        raise SubmissionRefused(wrong)
    return Request(
        folder=folder,
        output=output or folder / "submission" / division,
        submitter=submitter,
        division=Division(division),
        round=ROUNDS[round_name],
        hosts=hosts,
        system_file=system_file,
        rehearsal=rehearsal,
        force=force,
    )


def _no_such(where: str, given: str, known: list[str]) -> Finding:
    todo = f"give {' or '.join(known)}"
    return Finding(where=where, what=f"there is no {given!r}", todo=todo)


def build_submission(request: Request) -> Submission:
    """Checks everything, then writes the package beside its place and moves it there.

    Raises SubmissionRefused with all that is missing or wrong, and then leaves everything as it
    was; InventoryError if the run's record is unusable.
    """
    record = read_record(request.folder)
    hosts, file, findings = _read(request, record)
    parts, more = _describe(request, hosts, file)
    findings += more + _check_output(request)
    findings = list(dict.fromkeys(findings))
    refused = [item for item in findings if not (request.rehearsal and item.rehearsable)]
    if refused:
        raise SubmissionRefused(refused)
    scores = [
        score
        for part in parts
        for score in score_host(
            part.host,
            part.description.system_id,
            request.round,
            request.division,
            rehearsal=bool(findings),
        )
    ]
    package = new_package(
        request.round,
        request.division,
        request.submitter,
        request.round.benchmarks[hosts[0].suite],
        scores,
        findings,
    )
    _write_whole(
        request.output,
        lambda root: write_package(root, package, request.round, request.division, parts),
    )
    return Submission(
        folder=request.output,
        systems=tuple(part.description.system_id for part in parts),
        scores=tuple(scores),
        flaws=tuple(findings),
    )


def write_template(request: Request, target: Path) -> str:
    """Writes a system file for the hosts of a run, to be filled in; returns its text.

    It needs no valid run, only hosts that told their facts. Raises SubmissionRefused if there
    are none, or if ``target`` is there and not to be replaced; InventoryError as above.
    """
    record = read_record(request.folder)
    names, findings = choose_hosts(record, request.hosts)
    hosts, unread = read_hosts(request.folder, record, names)
    file, wrong = _system_file(request)
    if target.exists() and not request.force:
        todo = "give another file, or --force to replace it"
        wrong.append(Finding(where=str(target), what="is there already", todo=todo))
    if findings or wrong or not hosts:
        raise SubmissionRefused([*findings, *wrong, *([] if hosts else unread)])
    text = system_template(hosts, file)
    target.write_text(text, encoding="utf-8")
    return text


def _read(request: Request, record: RunRecord) -> tuple[list[Measured], SystemFile, list[Finding]]:
    names, findings = choose_hosts(record, request.hosts)
    hosts, unread = read_hosts(request.folder, record, names)
    file, wrong = _system_file(request)
    findings += [*unread, *wrong]
    for host in hosts:
        findings += check_host(host, request.round, request.division)
    findings += check_alike(hosts) + check_source(hosts)
    return hosts, file, findings


def _system_file(request: Request) -> tuple[SystemFile, list[Finding]]:
    return (
        (SystemFile(), []) if request.system_file is None else read_system_file(request.system_file)
    )


def _describe(
    request: Request, hosts: list[Measured], file: SystemFile
) -> tuple[list[Part], list[Finding]]:
    parts, findings = [], list(check_system_ids(hosts, file))
    for host in hosts:
        description, lacking = describe(host, file, request.submitter, request.division)
        parts.append(Part(host, description))
        findings += lacking
    return parts, findings


def _check_output(request: Request) -> list[Finding]:
    output = request.output
    if not output.exists() and not output.is_symlink():
        return []
    if not request.force:
        todo = "give another --output, or --force to replace it"
        return [Finding(where=str(output), what="is there already", todo=todo)]
    divisions = list(Division)
    is_package = (
        output.is_dir()
        and not output.is_symlink()
        and all(path.is_dir() and path.name in divisions for path in output.iterdir())
    )
    if is_package:
        return []
    todo = "give another --output: --force replaces packages only"
    return [Finding(where=str(output), what="is not a submission package", todo=todo)]


def _write_whole(target: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder beside ``target`` and moves it there in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.writing")
    replaced = target.with_name(f".{target.name}.replaced")
    for leftover in (temporary, replaced):  # of a command that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        temporary.mkdir(mode=PRIVATE_FOLDER)  # accuracy logs are text of answers
        write(temporary)
        if target.exists():
            target.replace(replaced)
        try:
            temporary.replace(target)
        except OSError:
            if replaced.exists():
                replaced.replace(target)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
