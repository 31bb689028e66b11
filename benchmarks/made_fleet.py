"""A made-up fleet for the aggregator: a real run of one H200, told again by many hosts.

Every host runs at its own speed: the seed's, with noise from run to run (Student's t with 4
degrees of freedom, scaled by 1.5 %). A few are planted: 4 to 8 % slower, with the facts and
sensor values of one cause. Speeds, logs, sensors and hashes of a host agree with one another, so
that what reads them checks them as it does those of a real host.
"""

from __future__ import annotations

import io
import json
import math
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
import pyarrow as pa
import pyarrow.parquet as pq
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.loadgen_log import read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult
from loadfleet_agent.contract.run_folder import (
    DETAIL_LOG,
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
from loadfleet_aggregator.fleet.record import HOSTS, PLANS, HostRecord, RunRecord, write_record

SEED = Path(__file__).parent / "seed" / "h200.tar.gz"
NOISE = 0.015
FREEDOM = 4
GAP = (0.04, 0.08)
STARTED = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
RUN_ID = "made-fleet"
PHASE = "offline-performance"
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
    return plan.model_copy(update={"run_id": RUN_ID, "host": host, "length": length})


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
    phase_folder = target / PHASES / PHASE
    phase_folder.mkdir(parents=True)
    seed_result = HostResult.model_validate_json(_seed()[RESULT])
    (seed_phase,) = seed_result.phases
    more = samples / seed_phase.samples
    slower = more / host.speed
    plan = _plan(host.name, samples)
    for log in (DETAIL_LOG, SUMMARY_LOG):
        text = _seed()[f"{PHASES}/{PHASE}/{log}"].decode("utf-8")
        (phase_folder / log).write_text(
            _log(text, seed_phase.samples, samples, slower, host.speed), encoding="utf-8"
        )
    _write_samples(phase_folder / SAMPLES, samples, host.speed)
    length = (seed_phase.ended_utc - seed_phase.started_utc) * slower
    latency = seed_phase.latency_from_issue_ns
    phase = seed_phase.model_copy(
        update={
            "plan_hash": plan.plan_hash,
            "started_utc": STARTED + timedelta(seconds=90),
            "ended_utc": STARTED + timedelta(seconds=90) + length,
            "samples": samples,
            "input_tokens": seed_phase.input_tokens.model_copy(update={"count": samples}),
            "output_tokens": seed_phase.output_tokens.model_copy(update={"count": samples}),
            "latency_from_issue_ns": latency.model_copy(
                update={"count": samples}
                | {name: getattr(latency, name) * slower
                   for name in ("minimum", "mean", "p50", "p90", "p99", "maximum")}
            ),
            "loadgen": read_loadgen_logs(phase_folder),
            "files": {name: file_sha256(phase_folder / name)
                      for name in (DETAIL_LOG, SUMMARY_LOG, SAMPLES)},
        }
    )  # fmt: skip
    write_model(phase_folder / PHASE_RESULT, phase)
    write_model(target / PLAN, plan)
    write_model(folder / PLANS / f"{host.name}.json", plan)
    write_model(target / HOST_FACTS, _facts(host))
    (target / TELEMETRY).write_text(
        "".join(f"{line}\n" for line in _telemetry(host, length)), encoding="utf-8"
    )
    assert seed_result.dataset is not None
    dataset = seed_result.dataset.model_copy(update={"samples": samples})
    result = seed_result.model_copy(
        update={
            "run_id": RUN_ID, "host": host.name, "plan_hash": plan.plan_hash,
            "started_utc": STARTED, "ended_utc": phase.ended_utc + timedelta(seconds=5),
            "dataset": dataset, "phases": (phase,), "energy": (),
        }
    )  # fmt: skip
    write_model(target / RESULT, result)
    write_model(target / MANIFEST, make_manifest(target, RUN_ID))


# Parts of a host.

LOGGED = r"\"[^\n]*?\"value\": "
"""Between a key and its value in the detail log."""
COUNTS = re.compile(
    rf"(?P<before>(?:samples_per_query|sample_count)(?:{LOGGED}| : |_override = ))(?P<value>\d+)"
)
TIMES = re.compile(r"(?P<before>latency_ns\", \"value\": |latency \(ns\) *: )(?P<value>\d{6,})")
RATES = re.compile(
    r"(?P<before>per_second\", \"value\": |(?:Samples|Tokens) per second: )(?P<value>[\d.]+)"
)
INDICES = re.compile(r"(?P<before>loaded_qsl_set\", \"value\": )\[[^\]]*\]")


def _log(text: str, before: int, samples: int, slower: float, speed: float) -> str:
    """LoadGen's log with other counts, times and rates; limits and seeds stay."""

    def count(match: re.Match[str]) -> str:
        value = samples if int(match["value"]) == before else int(match["value"])
        return f"{match['before']}{value}"

    def time(match: re.Match[str]) -> str:
        limit = "result_" not in match.string[match.start() - 40 : match.start()]
        if limit and match["before"].startswith("latency_ns"):
            return match[0]
        return f"{match['before']}{round(int(match['value']) * slower)}"

    text = COUNTS.sub(count, text)
    head, mark, parameters = text.partition("Test Parameters Used")
    head = TIMES.sub(time, head)
    head = RATES.sub(lambda m: f"{m['before']}{float(m['value']) * speed:.6g}", head)
    indices = ", ".join(map(str, range(samples)))
    return INDICES.sub(lambda m: f"{m['before']}[{indices}]", head) + mark + parameters


@cache
def _base_samples(samples: int) -> dict[str, np.ndarray[Any, Any]]:
    table = pq.read_table(io.BytesIO(_seed()[f"{PHASES}/{PHASE}/{SAMPLES}"]))
    issue = table["issue_ns"].to_numpy()
    first = table["first_token_ns"].to_numpy() - issue
    last = table["last_token_ns"].to_numpy() - issue
    rounds = math.ceil(samples / len(issue))
    step = int(np.percentile(last, 99))
    offsets = np.repeat(np.arange(rounds) * step, len(issue))[:samples]
    return {
        "issue": np.full(samples, issue[0]),
        "first": np.tile(first, rounds)[:samples] + offsets,
        "last": np.tile(last, rounds)[:samples] + offsets,
        "tokens": np.tile(table["output_tokens"].to_numpy(), rounds)[:samples],
        "hashes": np.random.default_rng(0).integers(0, 256, (samples, 32), dtype=np.uint8),
    }


def _write_samples(path: Path, samples: int, speed: float) -> None:
    base = _base_samples(samples)
    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), samples, [None, pa.py_buffer(base["hashes"].tobytes())]
    )
    columns = {
        "sample_index": pa.array(np.arange(samples, dtype=np.uint32)),
        "issue_ns": pa.array(base["issue"]),
        "first_token_ns": pa.array(base["issue"] + (base["first"] / speed).astype(np.int64)),
        "last_token_ns": pa.array(base["issue"] + (base["last"] / speed).astype(np.int64)),
        "output_tokens": pa.array(base["tokens"]),
        "output_sha256": hashes,
    }
    pq.write_table(pa.table(columns), path)


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
    return samples[:90], inside


def _telemetry(host: MadeHost, length: timedelta) -> Iterable[str]:
    before, inside = _base_telemetry()
    generator = np.random.default_rng(host.number)
    energy = 0.0
    for second in range(round(90 + length.total_seconds()) + 3):
        loaded = second >= 90
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
