"""MLPerf's rules over what a host has measured: everything that keeps it out of a package."""

from __future__ import annotations

from collections.abc import Iterator

from loadfleet_agent.contract.benchmark import (
    ACCURACY_TARGETS,
    Mode,
    Scenario,
    Suite,
    round_of_seeds,
)
from loadfleet_agent.contract.gate import GateRule, check_configurations
from loadfleet_agent.contract.plan import phase_name
from loadfleet_agent.contract.result import PhaseResult
from loadfleet_agent.contract.run_folder import (
    ACCURACY_LOG,
    ACCURACY_TEXT,
    HOST_FACTS,
    MANIFEST,
    PHASES,
    PLAN,
    RESULT,
    VERIFY_ACCURACY,
)

from .accuracy_files import failed_test06, prints_score
from .finding import Finding
from .measured import COLLECT_AGAIN, Measured
from .rounds import (
    REHEARSAL_LABELS,
    Division,
    PackagedFile,
    Round,
    forbidden_labels,
    is_among,
)
from .scores import metric

RUN_ANEW = "run it anew under another loadfleet_run_id"
LABEL_REMEDIES = {
    "short": "run it with loadfleet_length: official",
    "synthetic-dataset": "run it with MLPerf's own dataset (loadfleet_dataset)",
    "rebuilt-dataset": "run it with MLPerf's own file (loadfleet_dataset); the open division "
    "takes a rebuilt one",
    "random-weights": "run it with the weights of Llama-3.1-8B-Instruct",
    "performance-only": "run it with engine.load_format: auto",
    "null-engine": "run it with a profile whose engine is vllm: no model has answered",
    "prefix-caching": "run it with engine.enable_prefix_caching: false",
}
GATE_REMEDIES = {
    GateRule.RUN_ENDED: COLLECT_AGAIN,
    GateRule.LOADGEN_VALID: "run it again with another target_qps: a lower one if latency or "
    "early stopping failed, a higher one if it was too short",
    GateRule.MIN_DURATION: "run it again with a higher loadfleet_offline_target_qps",
}
COLLECT_ACCURACY = (
    "fetch it: run_benchmark.yml --tags collect,report -e loadfleet_run_id=<id> "
    "-e loadfleet_collect_accuracy_logs=true"
)


def check_host(host: Measured, round_: Round, division: Division) -> list[Finding]:
    """Everything that keeps this host out of a package, in the order of its run."""
    return [
        *_check_labels(host, division),
        *_check_run(host),
        *_check_scenarios(host, round_, division),
        *(finding for phase in host.result.phases for finding in _check_phase(host, phase, round_)),
        *(
            finding
            for scenario in host.scenarios
            for finding in _check_accuracy(host, scenario, division)
        ),
        *_check_files(host, round_, division),
        *_check_ecc(host, division),
    ]


def needs_test06(host: Measured, round_: Round, division: Division) -> bool:
    """Whether the division asks for the compliance test of this host's suite."""
    return division is Division.CLOSED and host.suite in round_.test06


def packaged_files(host: Measured, round_: Round, division: Division) -> Iterator[PackagedFile]:
    """The files of each of a host's scenarios that belong into the package of a division."""
    for file in round_.files:
        if needs_test06(host, round_, division) or file.mode is not Mode.TEST06:
            yield file


def _check_labels(host: Measured, division: Division) -> Iterator[Finding]:
    for label in forbidden_labels(division, host.labels):
        yield Finding(
            where=host.where(PLAN),
            what=f"{label}, which the {division} division does not take",
            todo=LABEL_REMEDIES.get(label, "run it with the profile's own generation settings"),
            rehearsable=is_among(label, REHEARSAL_LABELS),
        )


def _check_run(host: Measured) -> Iterator[Finding]:
    """What concerns the run as a whole: one configuration, one host that stayed as it was."""
    hashes = {phase.name: phase.configuration_sha256 for phase in host.result.phases}
    # The agent's own findings are of the same kind; they are made anew from the phases.
    for finding in dict.fromkeys((*check_configurations(hashes), *host.result.gate)):
        yield Finding(where=host.where(RESULT), what=str(finding), todo=RUN_ANEW)
    for change in host.result.changed_facts:
        yield Finding(
            where=host.where(HOST_FACTS),
            what=f"the host changed during the run: {change}",
            todo=RUN_ANEW,
        )


def _check_scenarios(host: Measured, round_: Round, division: Division) -> Iterator[Finding]:
    for scenario in host.scenarios:
        needed = dict.fromkeys(f.mode for f in packaged_files(host, round_, division))
        for mode in needed:
            if host.phase(scenario, mode) is None:
                yield Finding(
                    where=host.where(PHASES, phase_name(scenario, mode)),
                    what=f"no {mode} run of {scenario}",
                    todo=f"{RUN_ANEW} with {mode} in loadfleet_modes",
                )
    if division is Division.CLOSED:
        for group in round_.required[host.suite]:
            if not set(group) & set(host.scenarios):
                names = " or ".join(group)
                yield Finding(
                    where=host.where(PHASES),
                    what=f"no {names}, which the closed division asks of the {host.suite} suite",
                    todo=f"{RUN_ANEW} with {names} in loadfleet_scenarios",
                )


def _check_phase(host: Measured, phase: PhaseResult, round_: Round) -> Iterator[Finding]:
    where = host.where(PHASES, phase.name)
    for finding in host.gate.get(phase.name, phase.gate):
        if finding.rule is not GateRule.SEEDS:
            todo = GATE_REMEDIES.get(finding.rule, RUN_ANEW)
            yield Finding(where=where, what=str(finding), todo=todo)
    if phase.loadgen.seeds != round_.seeds:
        other = round_of_seeds(phase.loadgen.seeds)
        yield Finding(
            where=where,
            what=f"run with the seeds of {other or 'no known round'}, not of {round_.name}",
            todo=f"package it with --round {other}, if that is meant"
            if other
            else "run it with MLPerf's own LoadGen",
        )

    if phase.mode is Mode.PERFORMANCE and metric(phase) is None:
        yield Finding(where=where, what="LoadGen's logs have no score", todo=RUN_ANEW)


def _check_accuracy(host: Measured, scenario: Scenario, division: Division) -> Iterator[Finding]:
    if host.phase(scenario, Mode.ACCURACY) is None:
        return  # told already: the run itself is missing
    place = (PHASES, phase_name(scenario, Mode.ACCURACY), ACCURACY_TEXT)
    judged = host.accuracy(scenario)
    if judged is None:
        yield Finding(where=host.where(RESULT), what=f"no score of {scenario}", todo=RUN_ANEW)
        return
    if not prints_score(host.folder.joinpath(*place), judged.score):
        yield Finding(
            where=host.where(*place),
            what="does not print the score of result.json as MLPerf's evaluation does",
            todo=RUN_ANEW,
        )
    target = ACCURACY_TARGETS[host.suite]
    if judged.score.gen_num != target.samples:
        yield Finding(
            where=host.where(*place),
            what=f"{judged.score.gen_num} samples scored, not {target.samples}",
            todo=RUN_ANEW,
        )
    missed = judged.score.missed(target)
    if missed and division is Division.CLOSED:
        yield Finding(
            where=host.where(*place),
            what=f"accuracy below MLPerf's target: {'; '.join(missed)}",
            todo="use weights or a precision that keep it, or the open division",
            rehearsable=True,
        )


def _check_files(host: Measured, round_: Round, division: Division) -> Iterator[Finding]:
    """Every file that goes into the package is there, as it was when LoadGen ended."""
    for scenario in host.scenarios:
        for file in packaged_files(host, round_, division):
            phase = host.phase(scenario, file.mode)
            if phase is None:
                continue
            path = host.phase_folder(scenario, file.mode) / file.source
            where = host.where(PHASES, phase.name, file.source)
            if path.is_file() and not path.is_symlink():
                if file.source == VERIFY_ACCURACY:
                    yield from _check_test06(where, host, scenario)
            elif file.source == ACCURACY_LOG:
                yield Finding(
                    where=where, what="the accuracy log was not collected", todo=COLLECT_ACCURACY
                )
            elif where not in host.told:
                yield Finding(where=where, what="missing", todo=COLLECT_AGAIN)
            if file.source not in phase.files and file.source != ACCURACY_TEXT:
                yield Finding(
                    where=where, what=f"no hash of it in {RESULT} or {MANIFEST}", todo=RUN_ANEW
                )


def _check_test06(where: str, host: Measured, scenario: Scenario) -> Iterator[Finding]:
    path = host.phase_folder(scenario, Mode.TEST06) / VERIFY_ACCURACY
    for line in failed_test06(path, streams=scenario.streams):
        yield Finding(where=where, what=f"lacks the line {line!r}", todo=RUN_ANEW)


def _check_ecc(host: Measured, division: Division) -> Iterator[Finding]:
    """Minimum requirements of a datacenter system: ECC in all runs (inference rules)."""
    if division is not Division.CLOSED or host.suite is not Suite.DATACENTER:
        return
    if len(host.facts.gpus) < host.accelerators:
        yield Finding(
            where=host.where(HOST_FACTS),
            what=f"{len(host.facts.gpus)} GPUs told by the driver, {host.accelerators} used: "
            "nothing is known of their ECC",
            todo="mend the driver or nvidia-ml-py on the host, and run anew",
        )
    # All of them: which of its GPUs a host used is not told.
    for gpu in host.facts.gpus if host.accelerators else ():
        if gpu.ecc_enabled is not True:
            state = "off" if gpu.ecc_enabled is False else "not there, or not told by the driver"
            yield Finding(
                where=host.where(HOST_FACTS),
                what=f"ECC of GPU {gpu.index} ({gpu.name}) is {state}",
                todo="enable it (nvidia-smi --ecc-config=1, reboot) and run anew: the closed "
                "datacenter division asks for it",
            )
