"""A host's collected folder, read as untrusted input: limits, no escapes, schema, checksums."""

from __future__ import annotations

import gzip
import math
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar, cast

from loadfleet_agent.contract.evaluation import EvaluationResult, EvaluationScore
from loadfleet_agent.contract.evaluation_score import score_subjects
from loadfleet_agent.contract.files import PRIVATE, open_plain, private_folder, read_plain
from loadfleet_agent.contract.gate import Expectation, GateFinding, check_run
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult, Manifest, PhaseResult
from loadfleet_agent.contract.run_folder import (
    ACCURACY_LOG,
    HOST_FACTS,
    MANIFEST,
    NOT_IN_MANIFEST,
    PHASES,
    PLAN,
    RESULT,
    STATUS,
    file_sha256,
)
from loadfleet_agent.contract.status import Status
from pydantic import BaseModel, ValidationError

from .text.listing import shortened
from .text.terminal import printable

MAX_FILES = 1_000
MAX_FILE_BYTES = 512 << 20
MAX_TOTAL_BYTES = 2 << 30
MAX_RATIO = 200
"""Bytes of a run's files to bytes of their archive; logs come to 5, telemetry to 15."""
SMALL_BYTES = 64 << 20
"""Up to which the ratio does not matter."""
MAX_HEADER_BYTES = 64 << 10
"""Of one file in an archive: its name, its times, and what else a tar tells of it."""
MAX_DOCUMENT_BYTES = 4 << 20
MAX_PATH_LENGTH = 255
PATH = re.compile(r"[\w.+@,=-]+(/[\w.+@,=-]+)*", re.ASCII)
MOST_TOKENS = 2.0**63
MOST_PROBLEMS = 100
SAME_SCORE = 1e-9
"""Relative: Pythons add floats up in different ways."""

Model = TypeVar("Model", bound=BaseModel)


class BundleError(ValueError):
    """The folder or archive is not what a host may send; the text says which file and why."""


@dataclass(frozen=True)
class Bundle:
    """What a host's folder holds. A part that is absent or unreadable is None.

    ``problems`` says what is wrong with a folder that claims to be whole, or cannot be read of
    one that does not.
    """

    status: Status | None
    plan: RunPlan | None
    facts: HostFacts | None
    result: HostResult | None
    gate: dict[str, tuple[GateFinding, ...]]
    """Phase name to the rules it broke, as found here in the collected logs."""
    problems: tuple[str, ...]
    sealed: bool = True
    """Whether it has a manifest, which claims it to be whole."""


def unpack(archive: Path, target: Path) -> None:
    """Replaces ``target`` by the archive's files, or leaves it as it was.

    Raises BundleError for anything but plain files of ordinary number and size below ``target``.
    """
    temporary = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    private_folder(temporary)
    try:
        _extract(archive, temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    except BundleError:
        raise
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, tarfile.TarError) as error:
        why = shortened(printable(error))
        raise BundleError(f"{archive.name}: not a whole archive: {why}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Metered:
    """A stream that gives no more bytes than it was allowed to.

    A tar's headers are read whole into memory, before anything of them can be looked at.
    """

    def __init__(self, stream: gzip.GzipFile, name: str) -> None:
        self._stream, self._name = stream, name
        self._left = tarfile.RECORDSIZE  # tarfile reads ahead by one record

    def allow(self, size: int) -> None:
        self._left += size

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BundleError(f"{self._name}: a header larger than {MAX_HEADER_BYTES >> 10} KiB")
        return data


def _extract(archive: Path, folder: Path) -> None:
    total, count = 0, 0
    with open_plain(archive) as packed, gzip.open(packed) as plain:
        most = min(MAX_TOTAL_BYTES, max(SMALL_BYTES, MAX_RATIO * archive.stat().st_size))
        metered = _Metered(plain, archive.name)
        metered.allow(MAX_HEADER_BYTES)
        with tarfile.open(fileobj=cast("BinaryIO", metered), mode="r|") as stream:
            for member in stream:
                path = _safe_path(member.name)
                count, total = count + 1, total + member.size
                if count > MAX_FILES or member.size > MAX_FILE_BYTES or total > most:
                    raise BundleError(f"{archive.name}: too many or too large files")
                if not member.isreg() or member.issparse():
                    raise BundleError(f"{archive.name}: {member.name} is not a plain file")
                source = stream.extractfile(member)
                if source is None:
                    raise BundleError(f"{archive.name}: {member.name} cannot be read")
                metered.allow(member.size + MAX_HEADER_BYTES)
                private_folder((folder / path).parent)
                with (folder / path).open("xb") as sink:
                    os.fchmod(sink.fileno(), PRIVATE)
                    shutil.copyfileobj(source, sink)


def _safe_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise BundleError(f"{_quoted(name)}: a path that leaves the folder")
    if len(name) > MAX_PATH_LENGTH or not PATH.fullmatch(path.as_posix()):
        raise BundleError(f"{_quoted(name)}: not a file's name that an agent gives")
    return path


def _quoted(name: str) -> str:
    return shortened(printable(repr(name)), 100)


def read_bundle(
    folder: Path, *, run_id: str, host: str, plan_hash: str, planned: RunPlan | None = None
) -> Bundle:
    """Reads a collected folder and checks it against what was planned. Never raises.

    ``planned``: the controller's own copy of the host's plan, where there is one. The hash leaves
    out which shard of the questions is the host's; without the copy the host's plan tells.
    """
    problems: list[str] = []
    plan_trouble: list[str] = []
    plan = _read(folder / PLAN, RunPlan, plan_trouble)
    result = None
    gate: dict[str, tuple[GateFinding, ...]] = {}
    sealed = (folder / MANIFEST).is_file()
    if sealed:
        manifest, trouble = _check_manifest(folder, run_id)
        problems += trouble
        result = _read(folder / RESULT, HostResult, problems)
        if result is not None:
            problems += _check_identity(result, run_id, host, plan_hash) + plan_trouble
            if plan is not None and plan.plan_hash != plan_hash:
                problems.append(f"{PLAN}: not the plan that was made for this host")
            elif plan is not None:
                for phase in result.phases:
                    problems += _check_files(phase.name, phase.files, manifest, "LoadGen")
                    gate[phase.name], trouble = _check_phase(folder, phase, plan, result)
                    problems += trouble
                for evaluation in result.evaluations:
                    problems += _check_files(
                        evaluation.name, evaluation.files, manifest, "the evaluation"
                    )
                    problems += _check_evaluation(evaluation, planned or plan, result)
                problems += _check_coverage(result, plan)
    # Parts that an unfinished run has not written yet are no damage.
    there = [name for name in (STATUS, HOST_FACTS) if os.path.lexists(folder / name)]
    return Bundle(
        status=_read(folder / STATUS, Status, problems) if STATUS in there else None,
        plan=plan,
        facts=_read(folder / HOST_FACTS, HostFacts, problems) if HOST_FACTS in there else None,
        result=result,
        gate=gate,
        problems=_few(problems),
        sealed=sealed,
    )


def _few(problems: list[str]) -> tuple[str, ...]:
    """Each once, on one line of decent length, and no more of them than anybody reads."""
    texts = dict.fromkeys(shortened(printable(text)) for text in problems)
    return tuple(texts)[:MOST_PROBLEMS]


def _read(path: Path, model: type[Model], problems: list[str]) -> Model | None:
    try:
        return model.model_validate_json(read_plain(path, MAX_DOCUMENT_BYTES))
    except OSError as error:
        problems.append(f"{path.name}: {error.strerror}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        problems.append(f"{path.name}: {where}: {first['msg']}")
    return None


def _check_manifest(folder: Path, run_id: str) -> tuple[Manifest | None, list[str]]:
    """The manifest, and where the folder is not as it says."""
    problems: list[str] = []
    manifest = _read(folder / MANIFEST, Manifest, problems)
    if manifest is None:
        return None, problems
    if manifest.run_id != run_id:
        problems.append(f"{MANIFEST}: of run {manifest.run_id}")
    for name, entry in manifest.files.items():
        try:
            path = folder / _safe_path(name)
        except BundleError as error:
            problems.append(f"{MANIFEST}: {error}")
            continue
        try:
            if path.is_symlink() or not path.is_file():
                # Accuracy logs stay on the host unless they are asked for.
                if path.name != ACCURACY_LOG:
                    problems.append(f"{name}: in the manifest, but not collected")
            elif path.stat().st_size != entry.size_bytes or file_sha256(path) != entry.sha256:
                problems.append(f"{name}: checksum differs from the manifest's")
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
    known = set(manifest.files) | NOT_IN_MANIFEST
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in known:
            problems.append(f"{name}: not in the manifest")
    return manifest, problems


def _check_files(
    name: str, files: Mapping[str, str], manifest: Manifest | None, what: str
) -> list[str]:
    """Every file of a phase was sealed as it was when ``what`` it holds ended.

    By the manifest's hashes, which are checked against the files themselves.
    """
    if manifest is None:
        return []
    sealed = {path: entry.sha256 for path, entry in manifest.files.items()}
    return [
        f"{PHASES}/{name}/{file}: not as it was when {what} ended"
        for file, wanted in files.items()
        if sealed.get(f"{PHASES}/{name}/{file}") != wanted
    ]


def _check_identity(result: HostResult, run_id: str, host: str, plan_hash: str) -> list[str]:
    wanted = {"run_id": run_id, "host": host, "plan_hash": plan_hash}
    return [
        f"{RESULT}: {key} is {getattr(result, key)}, planned was {value}"
        for key, value in wanted.items()
        if getattr(result, key) != value
    ]


def _check_coverage(result: HostResult, plan: RunPlan) -> list[str]:
    """A complete result has every planned phase and evaluation, and nothing else."""
    if result.outcome != "complete":
        return []
    problems = []
    if [(phase.scenario, phase.mode) for phase in result.phases] != list(plan.phases):
        problems.append(f"{RESULT}: its phases are not the planned ones")
    if [item.name for item in result.evaluations] != [item.name for item in plan.evaluations]:
        problems.append(f"{RESULT}: its evaluations are not the planned ones")
    return problems


def _check_evaluation(evaluation: EvaluationResult, plan: RunPlan, result: HostResult) -> list[str]:
    """Where an evaluation is not of its result and plan, or contradicts itself."""
    wanted = next((item for item in plan.evaluations if item.task == evaluation.task), None)
    if wanted is None:
        return [f"{evaluation.name}: not planned for this host"]
    problems = []
    if evaluation.plan_hash != result.plan_hash:
        problems.append(f"{evaluation.name}: of another plan than its result")
    if evaluation.shard != wanted.shard:
        shard = evaluation.shard
        problems.append(
            f"{evaluation.name}: of shard {shard.index + 1} of {shard.of}, planned was "
            f"{wanted.shard.index + 1} of {wanted.shard.of}"
        )
    score = score_subjects(evaluation.subjects)
    if wanted.mmlu is not None and score is None:
        problems.append(f"{evaluation.name}: no subject was asked of")
    elif not _same_score(evaluation.score, score):
        problems.append(f"{evaluation.name}: its score is not that of its subjects")
    return problems


def _same_score(told: EvaluationScore | None, found: EvaluationScore | None) -> bool:
    if told is None or found is None:
        return told is found
    return all(
        math.isclose(one, other, rel_tol=SAME_SCORE, abs_tol=SAME_SCORE)
        for one, other in zip(_numbers(told), _numbers(found), strict=True)
    )


def _numbers(score: EvaluationScore) -> tuple[float, ...]:
    micro, macro = score.micro_interval, score.macro_interval
    return (
        score.questions, score.correct, score.micro, micro.low, micro.high,
        score.macro, macro.low, macro.high,
    )  # fmt: skip


def _check_phase(
    folder: Path, phase: PhaseResult, plan: RunPlan, result: HostResult
) -> tuple[tuple[GateFinding, ...], list[str]]:
    """Reads LoadGen's logs anew: the gate over them, and where they contradict phase.json."""
    try:
        logged = read_loadgen_logs(folder / PHASES / phase.name)
    except LoadgenLogError as error:
        return phase.gate, [str(error).removeprefix(f"{folder}/")]
    problems = []
    if logged != phase.loadgen:
        problems.append(f"{phase.name}: the result's numbers are not those of LoadGen's log")
    tokens = phase.output_tokens
    gate = check_run(
        logged,
        Expectation(
            suite=plan.suite,
            scenario=phase.scenario,
            mode=phase.mode,
            official_length=plan.length.kind == "official",
            samples=result.dataset.samples if result.dataset else 0,
            answered=phase.samples,
            output_tokens=round(min(tokens.mean * tokens.count, MOST_TOKENS)),
            fewest_output_tokens=round(tokens.minimum),
            most_output_tokens=round(tokens.maximum),
            max_tokens=plan.generation.max_tokens,
            test06_passed=phase.test06.passed if phase.test06 else None,
        ),
    )
    return gate, problems
