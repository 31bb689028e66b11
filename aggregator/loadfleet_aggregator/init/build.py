"""From hosts to an inventory that is proved before it is written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.roofline import Precision
from pydantic import Field

from ..doctor.ask import NoAnswer, Question, ask
from ..doctor.inventory import check_inventory, check_settings
from ..doctor.model import Severity
from ..hosts.inventory import Selection
from .choose import (
    CPU_PROFILE,
    choose_cpu,
    choose_profile,
    choose_runtime,
    most_frequent,
    precision_of,
)
from .model import Choice, HostGroup, InitReport, SeenHost
from .scan import not_scanned, scan
from .targets import Target
from .write import (
    HOSTS_FILE,
    SETTINGS_FILE,
    USUAL_GROUP,
    Connection,
    existing,
    render_hosts,
    render_settings,
    write_files,
)

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
REVISION = "0e9e39f249a16976918f6564b8830bc894c89659"
"""Of MODEL: a commit, so that all hosts run the same weights on every day."""


class InitRefused(Exception):
    """Nothing was written; the text is one line that says why."""


class Request(Frozen):
    """What the user asked for."""

    project: Path
    output: Path
    targets: tuple[Target, ...] = Field(min_length=1)
    connection: Connection
    model: str = MODEL
    revision: str | None = None
    precision: Precision | None = Field(default=None, description="None: by the model's name")
    scan: bool = True
    force: bool = False
    timeout_s: int = 60


def make_inventory(request: Request) -> InitReport:
    """Scans, chooses, proves and writes. Raises InitRefused, NoProfile, ScanError, OSError."""
    if not request.force and (
        there := existing(request.output, {HOSTS_FILE: "", SETTINGS_FILE: ""})
    ):
        raise InitRefused(
            f"{there[0]} is there already: give --force, which keeps a copy, or --output a folder"
        )
    precision = request.precision or precision_of(request.model)
    choose_profile((), precision)  # refuses a form without a profile before any host is asked
    seen = (
        scan(request.targets, request.connection, request.project, request.timeout_s)
        if request.scan
        else not_scanned(request.targets)
    )
    groups = make_groups(seen, precision)
    runtime, why = ("venv", "") if groups[0].choice.profile == CPU_PROFILE else choose_runtime(seen)
    files = {
        HOSTS_FILE: render_hosts(request.targets, request.connection, seen, groups),
        SETTINGS_FILE: _settings(request, groups, runtime, why),
    }
    _prove(request.project, files)
    kept = write_files(request.output, files)
    return InitReport(
        files=tuple(str(request.output / name) for name in files),
        kept=tuple(map(str, kept)),
        hosts=seen,
        groups=groups,
        runtime=runtime,
        runtime_reason=why,
        next_steps=_next_steps(request, groups),
    )


def make_groups(seen: Sequence[SeenHost], precision: Precision) -> tuple[HostGroup, ...]:
    """A group for each kind of GPU, the most frequent first; one for all where there is one kind.

    Hosts whose GPUs are not known go with the most frequent kind.
    """
    reached = [host for host in seen if host.reached]
    kinds = {host.kind for host in seen if host.kind}
    names = tuple(host.name for host in seen)
    if reached and not kinds and all(not host.gpus for host in reached):
        return (HostGroup(name=USUAL_GROUP, kind="", hosts=names, choice=choose_cpu()),)
    if len(kinds) <= 1:
        gpus = [gpu for host in seen for gpu in host.gpus]
        choice = choose_profile(gpus, precision)
        return (HostGroup(name=USUAL_GROUP, kind="".join(kinds), hosts=names, choice=choice),)
    first = most_frequent(seen)
    groups = []
    for kind in sorted(kinds, key=lambda kind: (kind != first, kind)):
        members = [host for host in seen if host.kind == kind]
        gpus = [gpu for host in members for gpu in host.gpus]
        groups.append(
            HostGroup(
                name=_group_name(kind),
                kind=kind,
                hosts=tuple(host.name for host in members),
                choice=choose_profile(gpus, precision),
            )
        )
    return tuple(groups)


def _group_name(kind: str) -> str:
    """NVIDIA A100-SXM4-80GB: a100_sxm4_80gb_hosts. Ansible warns of dashes."""
    words = re.sub(r"[^a-z0-9]+", "_", kind.lower().replace("nvidia", "")).strip("_")
    return f"{words or 'other'}_hosts"


def _settings(request: Request, groups: Sequence[HostGroup], runtime: str, why_runtime: str) -> str:
    choice = groups[0].choice
    comments: dict[str, list[str]] = {"loadfleet_profile": _why(choice)}
    values: dict[str, Any] = {"loadfleet_profile": choice.profile}
    if len(groups) == 1 and choice.engine:
        values["loadfleet_engine"] = choice.engine
        comments["loadfleet_engine"] = [
            "Replaces the profile's: as many samples at once as this GPU's memory holds."
        ]
    if choice.profile == CPU_PROFILE:
        values |= {
            "loadfleet_model": {"source": "tiny"},
            "loadfleet_dataset": {"source": "synthetic"},
            "loadfleet_length": {"samples": 64, "server_queries": 500},
            "loadfleet_server_target_qps": 15,
        }
        return render_settings(values, comments)
    values |= {"loadfleet_runtime": runtime, "loadfleet_model": _model(request)}
    comments["loadfleet_runtime"] = [f"{runtime}: {why_runtime}"]
    comments["loadfleet_model"] = [
        "Gated models need HF_TOKEN on the controller while provisioning (docs/provisioning.md)."
    ]
    values |= {
        "loadfleet_dataset": {"source": "mlcommons"},
        "caches_dataset": {"source": "mlcommons"},
        "loadfleet_length": "official",
    }
    comments["loadfleet_dataset"] = ["MLPerf's own file; docs/dataset.md has other ways."]
    comments["caches_dataset"] = ["What provisioning brings to the hosts."]
    comments["loadfleet_length"] = [
        "As long as MLPerf asks, which takes hours. Try short first: {samples: 512, "
        "server_queries: 500}."
    ]
    return render_settings(values, comments)


def _why(choice: Choice) -> list[str]:
    lines = [f"{choice.profile}: {choice.reason}."]
    if choice.unmet:
        lines.append(f"It does not fit: {choice.unmet}.")
    if choice.faster:
        lines.append(f"{choice.faster}.")
    return lines


def _model(request: Request) -> dict[str, str]:
    if request.model.startswith("/"):
        return {"source": "path", "path": request.model}
    revision = request.revision or (REVISION if request.model == MODEL else "main")
    return {"source": "hub", "repo": request.model, "revision": revision}


def _prove(project: Path, files: dict[str, str]) -> None:
    """Lets plan_run and check_inventory judge it, as a run would. Raises InitRefused."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-init-") as scratch:
        folder = Path(scratch) / "inventory"
        write_files(folder, files)
        answers = ask(Question(project=project, selection=Selection(inventory=(str(folder),))))
    if isinstance(answers, NoAnswer):
        raise InitRefused(f"the inventory cannot be read: {answers.reason}")
    for check in (*check_inventory(answers), *check_settings(answers)):
        if check.severity is Severity.ERROR:
            # Its place is the scratch folder's: only what follows it means something.
            raise InitRefused(f"the inventory would be wrong: {check.found.replace(scratch, '')}")


def _next_steps(request: Request, groups: Sequence[HostGroup]) -> tuple[str, ...]:
    inventory = f"-i {request.output}"
    steps = [f"loadfleet doctor --remote {inventory}"]
    if groups[0].choice.profile != CPU_PROFILE:
        token = "HF_TOKEN=hf_... " if not request.model.startswith("/") else ""
        steps.append(f"{token}ansible-playbook playbooks/provision.yml {inventory}")
        steps.append(
            f"ansible-playbook run_benchmark.yml {inventory} "
            '-e \'{"loadfleet_length": {"samples": 512, "server_queries": 500}}\''
        )
    steps.append(f"ansible-playbook run_benchmark.yml {inventory}")
    return tuple(steps)
