"""The hosts of a run as a package takes them: what each has measured, checked as it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.gate import GateFinding
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.labels import result_labels
from loadfleet_agent.contract.plan import RunPlan, phase_name
from loadfleet_agent.contract.profile import Build
from loadfleet_agent.contract.result import (
    Accuracy,
    DatasetFacts,
    EngineFacts,
    HostResult,
    ModelFacts,
    PhaseResult,
)
from loadfleet_agent.contract.run_folder import MANIFEST, PHASES, RESULT

from ..bundle import Bundle, read_bundle
from ..fleet.record import HOSTS, RunRecord
from .finding import Finding

GO_ON = "give the command of the run again: it goes on where it stopped, then collects"
COLLECT_AGAIN = "collect the host again (--tags collect,report); no file of a run is ever edited"
CHOOSE_HOSTS = "leave the host out: name the others with --host"


@dataclass(frozen=True)
class Measured:
    """A host that has ended its run and told all of it."""

    host: str
    folder: Path
    plan: RunPlan
    result: HostResult
    facts: HostFacts
    model: ModelFacts
    dataset: DatasetFacts
    engine: EngineFacts
    gate: Mapping[str, tuple[GateFinding, ...]]
    """Phase to the rules that it broke, as found in the collected logs."""
    told: frozenset[str]
    """Places of the folder with which something is wrong, told already."""

    @property
    def suite(self) -> Suite:
        return self.plan.suite

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """Of which anything was run, in the order of the run."""
        return tuple(dict.fromkeys(phase.scenario for phase in self.result.phases))

    @property
    def labels(self) -> tuple[str, ...]:
        """All that keeps the numbers from counting as MLPerf, whoever says it."""
        known = result_labels(self.plan, self.dataset)
        return tuple(dict.fromkeys((*known, *self.result.labels)))

    @property
    def accelerators(self) -> int:
        """GPUs that the engine used, of those that the host has."""
        if self.plan.build is not Build.CUDA:
            return 0
        replicas = self.engine.settings.get("replicas")
        return self.plan.engine.tensor_parallel_size * (
            replicas if isinstance(replicas, int) else 1
        )

    def phase(self, scenario: Scenario, mode: Mode) -> PhaseResult | None:
        wanted = (scenario, mode)
        return next((p for p in self.result.phases if (p.scenario, p.mode) == wanted), None)

    def accuracy(self, scenario: Scenario) -> Accuracy | None:
        return next((a for a in self.result.accuracy if a.scenario is scenario), None)

    def phase_folder(self, scenario: Scenario, mode: Mode) -> Path:
        return self.folder / PHASES / phase_name(scenario, mode)

    def where(self, *parts: str) -> str:
        """How a finding names a place in the host's folder."""
        return "/".join((HOSTS, self.host, *parts))


def choose_hosts(record: RunRecord, wanted: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """The hosts to package: those asked for, or all that took part."""
    if not record.selected:
        return [], [Finding(where="run.json", what="no host took part", todo="package another run")]
    findings = [
        Finding(
            where=f"--host {name}",
            what="took no part in the run",
            todo=f"give one of {', '.join(record.selected)}",
        )
        for name in wanted
        if name not in record.selected
    ]
    known = [name for name in dict.fromkeys(wanted) if name in record.selected]
    return known if wanted else record.selected, findings


def read_hosts(
    folder: Path, record: RunRecord, names: Iterable[str]
) -> tuple[list[Measured], list[Finding]]:
    """Every named host that can be judged further, and what is wrong with each as a whole."""
    measured, findings = [], []
    for name in names:
        path = folder / HOSTS / name
        planned = record.hosts[name].plan_hash
        if planned is None or not path.is_dir():
            findings.append(Finding(where=f"{HOSTS}/{name}", what="not collected", todo=GO_ON))
            continue
        bundle = read_bundle(path, run_id=record.run_id, host=name, plan_hash=planned)
        wrong = _reading(name, bundle)
        findings += wrong
        told = frozenset(finding.where for finding in wrong)
        if (host := _measured(name, path, bundle, told)) is not None:
            measured.append(host)
    return measured, findings


def _measured(name: str, folder: Path, bundle: Bundle, told: frozenset[str]) -> Measured | None:
    result = bundle.result
    if result is None or bundle.plan is None or bundle.facts is None:
        return None
    if result.model is None or result.dataset is None or result.engine is None:
        return None
    return Measured(
        host=name,
        folder=folder,
        plan=bundle.plan,
        result=result,
        facts=bundle.facts,
        model=result.model,
        dataset=result.dataset,
        engine=result.engine,
        gate=bundle.gate,
        told=told,
    )


def _reading(name: str, bundle: Bundle) -> list[Finding]:
    """What is wrong with the folder of a host, whatever its numbers are."""
    where = f"{HOSTS}/{name}"
    findings = []
    for problem in bundle.problems:
        place, separator, what = problem.partition(": ")
        findings.append(
            Finding(where=f"{where}/{place}", what=what, todo=COLLECT_AGAIN)
            if separator
            else Finding(where=where, what=problem, todo=COLLECT_AGAIN)
        )
    if bundle.result is None:
        if not bundle.problems:
            findings.append(_unfinished(where, bundle))
    elif bundle.result.outcome != "complete":
        failure = bundle.result.failure
        why = f": {failure.phase}: {failure.message}" if failure else ""
        findings.append(
            Finding(where=f"{where}/{RESULT}", what=f"{bundle.result.outcome}{why}", todo=GO_ON)
        )
    return findings


def _unfinished(where: str, bundle: Bundle) -> Finding:
    status = bundle.status
    at = f" (it was in {status.phase})" if status is not None else ""
    return Finding(where=f"{where}/{MANIFEST}", what=f"the run did not end{at}", todo=GO_ON)
