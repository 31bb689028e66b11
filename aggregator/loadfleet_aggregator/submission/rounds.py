"""What a round of MLPerf Inference asks of a submission of llama3.1-8b, as data.

Sources: ``submission_rules.adoc`` of mlcommons/policies at c195f80f, ``inference_rules.adoc`` of
mlcommons/inference_policies at ac93e89c, and ``tools/submission`` of mlcommons/inference at
b66003e1; where they disagree, what the submission checker asks.
"""

from __future__ import annotations

from enum import StrEnum

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.benchmark import (
    SEEDS_BY_ROUND,
    Mode,
    Scenario,
    Seeds,
    Suite,
)
from loadfleet_agent.contract.run_folder import (
    ACCURACY_LOG,
    ACCURACY_TEXT,
    DETAIL_LOG,
    SUMMARY_LOG,
    USER_CONF,
    VERIFY_ACCURACY,
)


class Division(StrEnum):
    """MLPerf's divisions for systems that LoadGen does not reach over a network."""

    CLOSED = "closed"
    OPEN = "open"


class Treatment(StrEnum):
    """What becomes of a file of the run in the package."""

    WHOLE = "whole"
    """Byte by byte as LoadGen or the agent left it."""
    CUT = "cut"
    """An accuracy log, cut as the rules say: see ``accuracy_files``."""
    WITH_HASH = "with-hash"
    """accuracy.txt with the hash of the whole accuracy log as a further line."""


class PackagedFile(Frozen):
    """A file of one phase and its place below ``<division>/<submitter>/``.

    ``path`` has the places {system}, {benchmark} and {scenario}.
    """

    path: str
    mode: Mode
    source: str
    treatment: Treatment = Treatment.WHOLE


class Round(Frozen):
    """A round: its seeds, what it requires, and where it wants each file."""

    name: str
    seeds: Seeds
    benchmarks: dict[Suite, str]
    """Folder name of each suite's benchmark."""
    required: dict[Suite, tuple[tuple[Scenario, ...], ...]]
    """For the closed division: of each group at least one scenario."""
    test06: frozenset[Suite]
    """Suites whose closed submissions need the compliance test TEST06 in every scenario."""
    files: tuple[PackagedFile, ...]
    measurements: str
    """Path of the description of one benchmark's implementation."""
    scenario_readme: str
    source: str
    """Folder of the source code."""


def _files(scenario: str, configuration: str, compliance: str) -> tuple[PackagedFile, ...]:
    """From the folders of a scenario's logs, of its configuration and of its compliance tests."""
    run, accuracy, test06 = f"{scenario}/performance/run_1", f"{scenario}/accuracy", Mode.TEST06
    logs = (SUMMARY_LOG, DETAIL_LOG)
    return (
        PackagedFile(path=f"{configuration}/user.conf", mode=Mode.PERFORMANCE, source=USER_CONF),
        *(PackagedFile(path=f"{run}/{n}", mode=Mode.PERFORMANCE, source=n) for n in logs),
        *(PackagedFile(path=f"{accuracy}/{n}", mode=Mode.ACCURACY, source=n) for n in logs),
        PackagedFile(
            path=f"{accuracy}/mlperf_log_accuracy.json",
            mode=Mode.ACCURACY,
            source=ACCURACY_LOG,
            treatment=Treatment.CUT,
        ),
        PackagedFile(
            path=f"{accuracy}/accuracy.txt",
            mode=Mode.ACCURACY,
            source=ACCURACY_TEXT,
            treatment=Treatment.WITH_HASH,
        ),
        *(
            PackagedFile(path=f"{compliance}/TEST06/performance/run_1/{n}", mode=test06, source=n)
            for n in logs
        ),
        PackagedFile(
            path=f"{compliance}/TEST06/verify_accuracy.txt", mode=test06, source=VERIFY_ACCURACY
        ),
        # The log of a compliance test is never cut: it holds 100 samples.
        PackagedFile(
            path=f"{compliance}/TEST06/accuracy/mlperf_log_accuracy.json",
            mode=test06,
            source=ACCURACY_LOG,
        ),
    )


_BENCHMARKS = {Suite.DATACENTER: "llama3.1-8b", Suite.EDGE: "llama3.1-8b-edge"}
_REQUIRED = {
    Suite.DATACENTER: ((Scenario.OFFLINE,), (Scenario.SERVER, Scenario.INTERACTIVE)),
    Suite.EDGE: ((Scenario.SINGLE_STREAM,), (Scenario.OFFLINE,)),
}
_RESULTS = "results/{system}/{benchmark}/{scenario}"
_MEASUREMENTS = "measurements/{system}/{benchmark}/{scenario}"
_COMPLIANCE = "compliance/{system}/{benchmark}/{scenario}"

ROUNDS = {
    item.name: item
    for item in (
        Round(
            name="v6.1",
            seeds=SEEDS_BY_ROUND["v6.1"],
            benchmarks=_BENCHMARKS,
            required=_REQUIRED,
            test06=frozenset({Suite.DATACENTER}),
            files=_files(_RESULTS, _RESULTS, _RESULTS),
            measurements=f"{_RESULTS}/measurements.json",
            scenario_readme=f"{_RESULTS}/README.md",
            source="src",
        ),
        Round(
            name="v5.1",
            seeds=SEEDS_BY_ROUND["v5.1"],
            benchmarks=_BENCHMARKS,
            required=_REQUIRED,
            test06=frozenset({Suite.DATACENTER}),
            files=_files(_RESULTS, _MEASUREMENTS, _COMPLIANCE),
            measurements=f"{_MEASUREMENTS}/{{system}}.json",
            scenario_readme=f"{_MEASUREMENTS}/README.md",
            source="code",
        ),
    )
}
"""By name, the newest first."""

NEWEST_ROUND = next(iter(ROUNDS))

ALLOWED_LABELS = {
    Division.CLOSED: frozenset[str](),
    # "The model can be of any origin", "inference parameters in the closed division" (inference
    # rules, 'Relaxed constraints for the Open division'). The dataset stays the same one.
    Division.OPEN: frozenset(
        {"random-weights", "performance-only", "rebuilt-dataset", "output-limit"}
    ),
}
"""Labels of a run with which a division still takes it; "output-limit" stands for all of them."""

REHEARSAL_LABELS = frozenset(
    {"random-weights", "performance-only", "synthetic-dataset", "rebuilt-dataset", "output-limit"}
)
"""Labels with which LoadGen's logs are still of official length, from a model that answered."""


def forbidden_labels(division: Division, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a run's labels that keep it out of the division."""
    return tuple(label for label in labels if not is_among(label, ALLOWED_LABELS[division]))


def is_among(label: str, names: frozenset[str]) -> bool:
    """Whether a label is one of ``names``, in which "output-limit" stands for every limit."""
    return (label if not label.startswith("output-limit-") else "output-limit") in names
