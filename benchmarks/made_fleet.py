"""A made-up fleet for the aggregator: a real run of one H200, told again by many hosts.

Every host runs at its own speed: the seed's, with noise from run to run (Student's t with 4
degrees of freedom, scaled by 1.5 %). A few are planted: 4 to 8 % slower, with the facts and
sensor values of one cause. Speeds, logs, sensors and hashes of a host agree with one another, so
that what reads them checks them as it does those of a real host.
"""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from loadfleet_agent.accuracy.judge import judge_accuracy
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.loadgen_log import read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import Accuracy, HostResult, PhaseResult, RougeScore
from loadfleet_agent.contract.run_folder import (
    DETAIL_LOG,
    ENGINE_LOAD,
    HOST_FACTS,
    MANIFEST,
    PHASE_RESULT,
    PHASES,
    PLAN,
    RESULT,
    SAMPLES,
    SUMMARY_LOG,
    TELEMETRY,
    file_sha256,
)
from loadfleet_agent.run import make_manifest
from loadfleet_agent.statistics import distribution
from loadfleet_aggregator.fleet.record import HOSTS, PLANS, HostRecord, RunRecord, write_record
from made_samples import (
    LOADGEN_LATER_NS,
    MadeSamples,
    engine_load,
    loadgen_latencies,
    make_samples,
    with_other_answers,
    write_samples,
)

SEED = Path(__file__).parent / "seed" / "h200.tar.gz"
NOISE = 0.015
FREEDOM = 4
GAP = (0.04, 0.08)
STARTED = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
RUN_ID = "made-fleet"
PERFORMANCE, ACCURACY = "offline-performance", "offline-accuracy"
LOAD_S, PAUSE_S = 90, 10
"""Before the first phase, and between the two."""
PLANTED_CAUSES = {
    "thermal throttling": "thermal throttling",
    "power cap": "power cap",
    "low clocks": "clocks set lower",
    "PCIe": "PCIe link narrowed",
    "ECC": "ECC errors",
    "driver": "driver version",
    "MIG": "MIG mode",
    "NUMA": "NUMA setting",
    "other process": "another process on the GPU",
}
"""What is planted to the cause that the report should tell."""


@dataclass(frozen=True)
class MadeHost:
    """A host of the fleet before it is written."""

    name: str
    number: int
    speed: float
    """Over the seed's."""
    planted: str | None


def make_hosts(hosts: int, planted_share: float, seed: int) -> list[MadeHost]:
    """Speeds and plants from a seed; each cause at most on one host in fifty."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_t(FREEDOM, hosts) * NOISE
    planted = generator.permutation(hosts)[: round(hosts * planted_share)]
    most = max(1, hosts // 50)
    causes = [cause for cause in PLANTED_CAUSES for _ in range(most)]
    chosen = generator.permutation(causes)[: len(planted)]
    cause_of = dict(zip(planted.tolist(), chosen.tolist(), strict=False))
    gaps = generator.uniform(*GAP, hosts)
    width = len(str(hosts - 1))
    return [
        MadeHost(
            name=f"gpu-{number:0{width}}",
            number=number,
            speed=max(0.2, 1 + float(noise[number]))
            * (1 - float(gaps[number]) if number in cause_of else 1.0),
            planted=cause_of.get(number),
        )
        for number in range(hosts)
    ]


def write_fleet(folder: Path, hosts: Sequence[MadeHost], samples: int) -> None:
    """Writes a collected run's folder, as the controller leaves it."""
    plan = _plan("host", samples)
    (folder / PLANS).mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_write_host, [folder] * len(hosts), hosts, [samples] * len(hosts),
                          chunksize=8):  # fmt: skip
            pass
    record = HostRecord(plan_hash=plan.plan_hash, finished=True)
    write_record(folder, RunRecord(run_id=RUN_ID, created_utc=STARTED, closed=True,
                                   hosts={host.name: record for host in hosts}))  # fmt: skip


def _plan(host: str, samples: int) -> RunPlan:
    plan = RunPlan.model_validate_json(_seed()[PLAN])
    length = plan.length.model_copy(update={"samples": samples})
    modes = (Mode.PERFORMANCE, Mode.ACCURACY)
    offline = tuple(item.model_copy(update={"modes": modes}) for item in plan.scenarios)
    return plan.model_copy(
        update={"run_id": RUN_ID, "host": host, "length": length, "scenarios": offline}
    )


@cache
def _seed() -> dict[str, bytes]:
    """Path below the run's folder to the file's content."""
    found = {}
    with tarfile.open(SEED) as archive:
        for member in archive:
            if member.isfile():
                stream = archive.extractfile(member)
                assert stream is not None
                found[member.name.split("/", 1)[1]] = stream.read()
    return found


def _write_host(folder: Path, host: MadeHost, samples: int) -> None:
    target = folder / HOSTS / host.name
    seed_result = HostResult.model_validate_json(_seed()[RESULT])
    (seed_phase,) = seed_result.phases
    assert seed_result.dataset is not None
    assert seed_phase.loadgen.samples_per_second is not None
    plan = _plan(host.name, samples)
    generator = np.random.default_rng(host.number)
    length_s = samples / (seed_phase.loadgen.samples_per_second * host.speed)
    measured = make_samples(_seed()[f"{PHASES}/{PERFORMANCE}/{SAMPLES}"], samples, length_s)
    scored = with_other_answers(measured, generator)
    began, pause = STARTED + timedelta(seconds=LOAD_S), timedelta(seconds=PAUSE_S)
    performance = _write_phase(target, plan, seed_phase, PERFORMANCE, began, measured, host.speed)
    accuracy = _write_phase(
        target, plan, seed_phase, ACCURACY, performance.ended_utc + pause, scored, host.speed
    )
    write_model(target / PLAN, plan)
    write_model(folder / PLANS / f"{host.name}.json", plan)
    write_model(target / HOST_FACTS, _facts(host))
    (target / TELEMETRY).write_text(
        "".join(f"{line}\n" for line in _telemetry(host, accuracy.ended_utc)), encoding="utf-8"
    )
    result = seed_result.model_copy(
        update={
            "run_id": RUN_ID, "host": host.name, "plan_hash": plan.plan_hash,
            "labels": plan.labels,
            "started_utc": STARTED, "ended_utc": accuracy.ended_utc + timedelta(seconds=5),
            "dataset": seed_result.dataset.model_copy(update={"samples": samples}),
            "phases": (performance, accuracy), "energy": (),
            "accuracy": (_accuracy(plan, samples, generator),),
        }
    )  # fmt: skip
    write_model(target / RESULT, result)
    write_model(target / MANIFEST, make_manifest(target, RUN_ID))


def _write_phase(
    target: Path,
    plan: RunPlan,
    seed_phase: PhaseResult,
    name: str,
    started: datetime,
    made: MadeSamples,
    speed: float,
) -> PhaseResult:
    folder = target / PHASES / name
    folder.mkdir(parents=True)
    samples = len(made.tokens)
    for log in (DETAIL_LOG, SUMMARY_LOG):
        text = _seed()[f"{PHASES}/{name}/{log}"].decode("utf-8")
        told = _log(text, seed_phase.samples, samples, speed, loadgen_latencies(made))
        (folder / log).write_text(told, encoding="utf-8")
    write_samples(folder / SAMPLES, made)
    lines = engine_load(made, started, plan.engine.max_num_seqs or samples)
    (folder / ENGINE_LOAD).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    phase = seed_phase.model_copy(
        update={
            "name": name,
            "mode": Mode(name.split("-")[1]),
            "plan_hash": plan.plan_hash,
            "started_utc": started,
            "ended_utc": started + timedelta(seconds=made.length_s + 0.1),
            "started_monotonic_ns": made.issue_ns - LOADGEN_LATER_NS,
            "samples": samples,
            "input_tokens": seed_phase.input_tokens.model_copy(update={"count": samples}),
            "output_tokens": distribution(made.tokens),
            "latency_from_issue_ns": distribution(made.last),
            "loadgen": read_loadgen_logs(folder),
            "files": {file: file_sha256(folder / file)
                      for file in (DETAIL_LOG, SUMMARY_LOG, SAMPLES, ENGINE_LOAD)},
        }
    )  # fmt: skip
    write_model(folder / PHASE_RESULT, phase)
    return phase


def _accuracy(plan: RunPlan, samples: int, generator: np.random.Generator) -> Accuracy:
    """What random weights come to, a little apart on each host."""
    one, two, longest, lines = (float(v) for v in generator.normal((9.1, 0.4, 6.3, 7.8), 0.02))
    score = RougeScore(
        rouge1=round(one, 4), rouge2=round(two, 4), rougeL=round(longest, 4),
        rougeLsum=round(lines, 4), gen_len=611 * samples, gen_num=samples,
    )  # fmt: skip
    return judge_accuracy(plan.suite, Scenario.OFFLINE, score, plan.labels)


# Parts of a host.

LOGGED = r"\"[^\n]*?\"value\": "
"""Between a key and its value in the detail log."""
COUNTS = re.compile(
    rf"(?P<before>(?:samples_per_query|sample_count|min_query_count)"
    rf"(?:{LOGGED}| : |_override = ))(?P<value>\d+)"
)
LATENCIES = re.compile(
    r"(?P<before>(?:\"result_|^)(?P<name>[Mm]in|[Mm]ax|[Mm]ean|[\d.]+[_ ]percentile)[_ ]latency"
    r"(?:_ns\", \"value\": | \(ns\) *: ))(?P<value>\d+)",
    re.MULTILINE,
)
RATES = re.compile(
    r"(?P<before>per_second\", \"value\": |(?:Samples|Tokens) per second: )(?P<value>[\d.]+)"
)
INDICES = re.compile(r"(?P<before>loaded_qsl_set\", \"value\": )\[[^\]]*\]")


def _log(text: str, before: int, samples: int, speed: float, latencies: dict[str, int]) -> str:
    """LoadGen's log with other counts, latencies and rates; limits and seeds stay."""

    def count(match: re.Match[str]) -> str:
        value = samples if int(match["value"]) == before else int(match["value"])
        return f"{match['before']}{value}"

    def latency(match: re.Match[str]) -> str:
        return f"{match['before']}{latencies[match['name'].replace('_', ' ').capitalize()]}"

    text = COUNTS.sub(count, text)
    head, mark, parameters = text.partition("Test Parameters Used")
    head = LATENCIES.sub(latency, head)
    head = RATES.sub(lambda m: f"{m['before']}{float(m['value']) * speed:.6g}", head)
    indices = ", ".join(map(str, range(samples)))
    return INDICES.sub(lambda m: f"{m['before']}[{indices}]", head) + mark + parameters


def _facts(host: MadeHost) -> HostFacts:
    facts = json.loads(_seed()[HOST_FACTS])
    facts |= {
        "hostname": host.name,
        "machine_id": f"{host.number:032x}",
        "boot_id": f"{host.number:032x}",
        "numa_nodes": 2 if host.planted == "NUMA" else 1,
    }
    if host.planted == "driver":
        facts["nvidia_driver"] = "535.183.01"
    for gpu in facts["gpus"]:
        gpu["uuid"] = f"GPU-{host.number:08x}-{gpu['index']}"
    used = facts["gpus"][0]
    if host.planted == "power cap":
        used["power_limit_w"] = 600.0
    if host.planted == "MIG":
        used["mig_enabled"] = True
    return HostFacts.model_validate(facts)


@cache
def _base_telemetry() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples before the load, and those with a full batch."""
    (phase,) = HostResult.model_validate_json(_seed()[RESULT]).phases
    samples = [json.loads(line) for line in _seed()[TELEMETRY].decode("utf-8").splitlines()]
    at = [datetime.fromisoformat(sample["at_utc"]) for sample in samples]
    start, end = phase.started_utc + timedelta(seconds=3), phase.ended_utc - timedelta(seconds=5)
    inside = [s for s, time in zip(samples, at, strict=True) if start < time < end]
    return samples[:LOAD_S], inside


def _telemetry(host: MadeHost, end: datetime) -> Iterable[str]:
    before, inside = _base_telemetry()
    generator = np.random.default_rng(host.number)
    energy = 0.0
    for second in range(round((end - STARTED).total_seconds()) + 3):
        loaded = second >= LOAD_S
        source = inside[second % len(inside)] if loaded else before[min(second, len(before) - 1)]
        gpus = [dict(gpu) for gpu in source["gpus"]]
        _plant(gpus[0], host.planted, loaded=loaded, chance=float(generator.random()))
        energy += gpus[0]["power_w"] * 1000
        gpus[0]["energy_mj"] = round(energy)
        at = STARTED + timedelta(seconds=second, milliseconds=500)
        yield json.dumps(source | {"at_utc": at.isoformat(), "gpus": gpus}, separators=(",", ":"))


def _plant(gpu: dict[str, Any], planted: str | None, *, loaded: bool, chance: float) -> None:
    """Changes what the sensors of a GPU with this cause would say."""
    if planted == "other process":
        gpu["memory_used_mib"] += 8000
    if planted == "PCIe":
        gpu["pcie_width"] = 8
    if not loaded:
        return
    if planted == "thermal throttling" and chance < 0.4:
        gpu |= {"throttle_reasons": gpu["throttle_reasons"] | 0x20, "temperature_c": 88}
        gpu["sm_clock_mhz"] = round(gpu["sm_clock_mhz"] * 0.85)
    elif planted == "power cap":
        gpu |= {"power_w": gpu["power_w"] * 0.85, "sm_clock_mhz": gpu["sm_clock_mhz"] * 0.92}
    elif planted == "low clocks":
        gpu |= {"throttle_reasons": gpu["throttle_reasons"] | 0x2, "sm_clock_mhz": 1350}
    elif planted == "ECC" and chance < 0.5:
        gpu["ecc_uncorrected"] = 3


def make_fleet(hosts: int, samples: int, planted_share: float, seed: int) -> tuple[
    tempfile.TemporaryDirectory[str], Path, list[MadeHost]
]:  # fmt: skip
    """A fleet in a folder that goes away with the first value."""
    temporary = tempfile.TemporaryDirectory(prefix="made-fleet-")
    folder = Path(temporary.name) / RUN_ID
    made = make_hosts(hosts, planted_share, seed)
    write_fleet(folder, made, samples)
    return temporary, folder, made
