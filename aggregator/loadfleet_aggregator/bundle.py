"""A host's collected folder, read as untrusted input: limits, no escapes, schema, checksums."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

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

MAX_FILES = 1_000
MAX_FILE_BYTES = 512 << 20
MAX_TOTAL_BYTES = 2 << 30
MAX_DOCUMENT_BYTES = 16 << 20
MAX_PATH_LENGTH = 255
MOST_TOKENS = 2.0**63

Model = TypeVar("Model", bound=BaseModel)


class BundleError(ValueError):
    """The folder or archive is not what a host may send; the text says which file and why."""


@dataclass(frozen=True)
class Bundle:
    """What a host's folder holds. A part that is absent or unreadable is None.

    ``problems`` says what is wrong with a folder that claims to be whole.
    """

    status: Status | None
    plan: RunPlan | None
    facts: HostFacts | None
    result: HostResult | None
    gate: dict[str, tuple[GateFinding, ...]]
    """Phase name to the rules it broke, as found here in the collected logs."""
    problems: tuple[str, ...]


def unpack(archive: Path, target: Path) -> None:
    """Replaces ``target`` by the archive's files, or leaves it as it was.

    Raises BundleError for anything but plain files of ordinary number and size below ``target``.
    """
    temporary = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _extract(archive, temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    except BundleError:
        raise
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise BundleError(f"{archive.name}: not a whole archive: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    total = 0
    with tarfile.open(archive, "r|gz") as stream:
        for count, member in enumerate(stream, start=1):
            path = _safe_path(member.name)
            total += member.size
            if count > MAX_FILES or member.size > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
                raise BundleError(f"{archive.name}: too many or too large files")
            if not member.isreg():
                raise BundleError(f"{archive.name}: {member.name} is not a plain file")
            source = stream.extractfile(member)
            if source is None:
                raise BundleError(f"{archive.name}: {member.name} cannot be read")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("xb") as sink:
                shutil.copyfileobj(source, sink)


def _safe_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    unusable = not path.parts or "\0" in name or len(name) > MAX_PATH_LENGTH
    if unusable or path.is_absolute() or ".." in path.parts:
        raise BundleError(f"{name!r}: a path that leaves the folder")
    return path


def read_bundle(folder: Path, *, run_id: str, host: str, plan_hash: str) -> Bundle:
    """Reads a collected folder and checks it against what was planned. Never raises."""
    problems: list[str] = []
    quiet: list[str] = []  # absent parts of an unfinished run are no damage
    plan_trouble: list[str] = []
    plan = _read(folder / PLAN, RunPlan, plan_trouble)
    result = None
    gate: dict[str, tuple[GateFinding, ...]] = {}
    if (folder / MANIFEST).is_file():
        manifest, trouble = _check_manifest(folder, run_id)
        problems += trouble
        result = _read(folder / RESULT, HostResult, problems)
        if result is not None:
            problems += _check_identity(result, run_id, host, plan_hash) + plan_trouble
            if plan is not None and plan.plan_hash != plan_hash:
                problems.append(f"{PLAN}: not the plan that was made for this host")
            elif plan is not None:
                for phase in result.phases:
                    problems += _check_files(phase, manifest)
                    gate[phase.name], trouble = _check_phase(folder, phase, plan, result)
                    problems += trouble
                problems += _check_coverage(result, plan)
    return Bundle(
        status=_read(folder / STATUS, Status, quiet),
        plan=plan,
        facts=_read(folder / HOST_FACTS, HostFacts, quiet),
        result=result,
        gate=gate,
        problems=tuple(dict.fromkeys(problems)),
    )


def _read(path: Path, model: type[Model], problems: list[str]) -> Model | None:
    try:
        if path.is_symlink() or path.stat().st_size > MAX_DOCUMENT_BYTES:
            problems.append(f"{path.name}: larger than {MAX_DOCUMENT_BYTES >> 20} MiB or a link")
            return None
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        problems.append(f"{path.name}: {error.strerror}")
    except ValidationError as error:
        first = error.errors()[0]
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
        if path.is_symlink() or not path.is_file():
            # Accuracy logs stay on the host unless they are asked for.
            if path.name != ACCURACY_LOG:
                problems.append(f"{name}: in the manifest, but not collected")
        elif path.stat().st_size != entry.size_bytes or file_sha256(path) != entry.sha256:
            problems.append(f"{name}: checksum differs from the manifest's")
    known = set(manifest.files) | NOT_IN_MANIFEST
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in known:
            problems.append(f"{name}: not in the manifest")
    return manifest, problems


def _check_files(phase: PhaseResult, manifest: Manifest | None) -> list[str]:
    """Every file of a phase was sealed as it was when LoadGen ended.

    By the manifest's hashes, which are checked against the files themselves.
    """
    if manifest is None:
        return []
    sealed = {name: entry.sha256 for name, entry in manifest.files.items()}
    return [
        f"{PHASES}/{phase.name}/{name}: not as it was when LoadGen ended"
        for name, wanted in phase.files.items()
        if sealed.get(f"{PHASES}/{phase.name}/{name}") != wanted
    ]


def _check_identity(result: HostResult, run_id: str, host: str, plan_hash: str) -> list[str]:
    wanted = {"run_id": run_id, "host": host, "plan_hash": plan_hash}
    return [
        f"{RESULT}: {key} is {getattr(result, key)}, planned was {value}"
        for key, value in wanted.items()
        if getattr(result, key) != value
    ]


def _check_coverage(result: HostResult, plan: RunPlan) -> list[str]:
    """A complete result has every planned phase, and nothing else."""
    if result.outcome != "complete":
        return []
    have = [(phase.scenario, phase.mode) for phase in result.phases]
    return [] if have == list(plan.phases) else [f"{RESULT}: its phases are not the planned ones"]


def _check_phase(
    folder: Path, phase: PhaseResult, plan: RunPlan, result: HostResult
) -> tuple[tuple[GateFinding, ...], list[str]]:
    """Reads LoadGen's logs anew: the gate over them, and where they contradict phase.json."""
    try:
        logged = read_loadgen_logs(folder / PHASES / _safe_path(phase.name))
    except (LoadgenLogError, BundleError) as error:
        text = str(error).removeprefix(f"{folder}/")
        return phase.gate, [text]
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
