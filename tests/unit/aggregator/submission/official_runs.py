"""Host folders of official length, as an agent on a GPU host would seal them.

The performance logs are LoadGen's own, saved from runs of 600 s and more; accuracy and TEST06
are run live by LoadGen over all samples. Only what a GPU and its host would tell is made up.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import ACCURACY_TARGETS, Mode, Scenario, Suite
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.gate import Expectation, check_run
from loadfleet_agent.contract.host import GpuFacts, HostFacts
from loadfleet_agent.contract.loadgen_log import LoadgenResult, read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan, phase_name
from loadfleet_agent.contract.result import (
    Accuracy,
    DatasetFacts,
    EngineFacts,
    HostResult,
    ModelFacts,
    PhaseResult,
    RougeScore,
)
from loadfleet_agent.contract.run_folder import (
    ACCURACY_LOG,
    ACCURACY_TEXT,
    DETAIL_LOG,
    HOST_FACTS,
    LOADGEN_FILES,
    PHASE_RESULT,
    PHASES,
    PLAN,
    RESULT,
    SUMMARY_LOG,
    USER_CONF,
    file_sha256,
)
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.loadgen.settings import user_conf
from loadfleet_aggregator.fleet.record import HOSTS, HostRecord, RunRecord, write_record
from waiting import LONG_S

from ..helpers import HostRun, edit_json, reseal

HERE = Path(__file__).parent
CONFIGURATION = "c" * 64
STARTED = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
SHA = "0123456789abcdef" * 4
SCENARIOS = {
    Suite.DATACENTER: (Scenario.OFFLINE, Scenario.SERVER),
    Suite.EDGE: (Scenario.SINGLE_STREAM, Scenario.OFFLINE),
}
A30: dict[str, Any] = {
    "profile": "a30-bf16",
    "model": {
        "source": "hub",
        "repo": "meta-llama/Llama-3.1-8B-Instruct",
        "revision": "0e9e39f249a16976918f6564b8830bc894c89659",
    },
    "dataset": {"source": "file", "path": "/data/cnn_eval.json"},
    "offline_target_qps": 20,
    "server_target_qps": 21.5,
    "interactive_target_qps": 21.5,
}


def official_plan(host: str, suite: Suite = Suite.DATACENTER, **changes: Any) -> RunPlan:
    """An A30 host's plan of official length, with everything the closed division asks for."""
    modes = [Mode.PERFORMANCE, Mode.ACCURACY]
    if suite is Suite.DATACENTER:
        modes.append(Mode.TEST06)
    settings = {"suite": suite, "scenarios": SCENARIOS[suite], "modes": modes}
    return resolve_plan(parse_settings(A30 | settings | changes), run_id="run-1", host=host)


def run_live_phases(plan: RunPlan, folder: Path, round_name: str) -> Path:
    """The plan's accuracy and TEST06 phases below ``folder``."""
    folder.mkdir(parents=True)
    path = folder / "given-plan.json"
    path.write_text(plan.model_dump_json(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, HERE / "live_phases.py", path, folder, round_name, CONFIGURATION],
        capture_output=True, text=True, timeout=2 * LONG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path.unlink()
    return folder


def seal_host(
    folder: Path,
    plan: RunPlan,
    live: Path,
    performance: Mapping[Scenario, Path],
    scores: Mapping[Scenario, RougeScore] | None = None,
) -> HostRun:
    """A finished, sealed run folder at ``folder``.

    ``live``: folder of the plan's other phases. ``performance``: scenario to a folder with
    LoadGen's detail and summary log. ``scores``: default MLPerf's reference.
    """
    folder.mkdir(parents=True)
    phases, accuracy = [], []
    for scenario, mode in plan.phases:
        target = folder / PHASES / phase_name(scenario, mode)
        if mode is Mode.PERFORMANCE:
            phases.append(_saved_phase(target, plan, scenario, performance[scenario]))
        else:
            shutil.copytree(live / target.name, target)
            path = target / PHASE_RESULT
            phase = PhaseResult.model_validate_json(path.read_bytes())
            # The live phases are shared by hosts whose plans differ in what they do not run by.
            phase = phase.model_copy(update={"plan_hash": plan.plan_hash})
            write_model(path, phase)
            phases.append(phase)
        if mode is Mode.ACCURACY:
            score = (scores or {}).get(scenario) or reference_score(plan.suite)
            (target / ACCURACY_TEXT).write_text(printed(score), encoding="utf-8")
            accuracy.append(
                Accuracy(scenario=scenario, score=score, applicable=True, reason="", passed=True)
            )
    write_model(folder / PLAN, plan)
    write_model(folder / HOST_FACTS, a30_facts(plan.host))
    write_model(folder / RESULT, _result(plan, phases, accuracy))
    reseal(folder)
    return HostRun(plan, folder)


def collect(results: Path, runs: Iterable[HostRun], *, inventory: Iterable[str] = ()) -> Path:
    """A closed run's folder on the controller. ``inventory``: hosts that took no part."""
    hosts = {run.plan.host: HostRecord(plan_hash=run.plan.plan_hash) for run in runs}
    others = {name: HostRecord(plan_hash=None) for name in inventory}
    folder = results / "run-1"
    folder.mkdir(parents=True)
    record = RunRecord(run_id="run-1", created_utc=STARTED, closed=True, hosts=hosts | others)
    write_record(folder, record)
    for run in runs:
        run.copy_to(folder / HOSTS / run.plan.host)
    return folder


def _saved_phase(target: Path, plan: RunPlan, scenario: Scenario, logs: Path) -> PhaseResult:
    target.mkdir(parents=True)
    for name in (DETAIL_LOG, SUMMARY_LOG):
        shutil.copyfile(logs / name, target / name)
    (target / ACCURACY_LOG).write_text("[\n]\n", encoding="utf-8")
    qps = plan.scenario(scenario).target_qps
    (target / USER_CONF).write_text(user_conf(plan, scenario, qps), encoding="utf-8")
    logged = read_loadgen_logs(target)
    phase = PhaseResult(
        name=target.name,
        scenario=scenario,
        mode=Mode.PERFORMANCE,
        plan_hash=plan.plan_hash,
        started_utc=STARTED,
        ended_utc=STARTED + timedelta(hours=1),
        configuration_sha256=CONFIGURATION,
        target_qps=qps,
        samples=logged.sample_count,
        input_tokens=_flat(860, logged.sample_count),
        # One submitter's published log counts 129: re-encoded text, by its own notes.
        output_tokens=_flat(_tokens_of_sample(logged, scenario), logged.sample_count).model_copy(
            update={"minimum": 2.0, "maximum": 128.0}
        ),
        latency_from_issue_ns=_flat(1e9, logged.sample_count),
        ttft_from_issue_ns=_flat(1e8, logged.sample_count) if scenario.streams else None,
        loadgen=logged,
        test06=None,
        gate=(),
        files={n: file_sha256(target / n) for n in (*LOADGEN_FILES, USER_CONF)},
    )
    tokens = phase.output_tokens
    broken = check_run(
        logged,
        Expectation(
            suite=plan.suite,
            scenario=scenario,
            mode=Mode.PERFORMANCE,
            official_length=True,
            samples=plan.samples,
            answered=phase.samples,
            output_tokens=round(tokens.mean * tokens.count),
            fewest_output_tokens=round(tokens.minimum),
            most_output_tokens=round(tokens.maximum),
            max_tokens=128,
            test06_passed=None,
        ),
    )
    assert broken == (), f"{logs}: not a valid run of official length: {broken}"
    write_model(target / PHASE_RESULT, phase)
    return phase


def _tokens_of_sample(logged: LoadgenResult, scenario: Scenario) -> float:
    assert logged.tokens_per_second
    assert logged.samples_per_second
    ratio = logged.tokens_per_second / logged.samples_per_second
    return ratio * (1 - 1 / logged.sample_count) if scenario.paced else ratio


def _flat(value: float, count: int) -> Distribution:
    return Distribution(
        count=count, minimum=value, mean=value, p50=value, p90=value, p99=value, maximum=value
    )


def _result(plan: RunPlan, phases: list[PhaseResult], accuracy: list[Accuracy]) -> HostResult:
    return HostResult(
        run_id=plan.run_id,
        host=plan.host,
        plan_hash=plan.plan_hash,
        outcome="complete",
        failure=None,
        labels=plan.labels,
        started_utc=STARTED,
        ended_utc=STARTED + timedelta(hours=3),
        attempts=1,
        model=ModelFacts(
            name="meta-llama/Llama-3.1-8B-Instruct",
            path="/models/llama",
            config_sha256=SHA,
            tokenizer_sha256=SHA,
            weights_sha256=SHA,
            vocabulary=128_256,
            stop_token_ids=(128_001, 128_009),
        ),
        dataset=DatasetFacts(
            source="file",
            label="mlperf-dataset",
            library_sha256=SHA,
            samples=plan.samples,
            input_tokens=_flat(860, plan.samples),
            origin=f"cnn_eval.json sha256:{SHA}",
        ),
        engine=EngineFacts(
            kind="vllm",
            version="vllm 0.32.0",
            start_s=60,
            settings={"dtype": "torch.bfloat16", "quantization": None, "kv_cache_blocks": 3000},
        ),
        rates=(),
        phases=tuple(phases),
        accuracy=tuple(accuracy),
        gate=(),
        changed_facts=(),
        warnings=(),
    )


def a30_facts(host: str) -> HostFacts:
    """Of a server with one A30, unlike those of any other host."""
    return HostFacts(
        taken_utc=STARTED,
        hostname=host,
        machine_id=f"{host}-machine",
        boot_id=f"{host}-boot",
        virtualization="none",
        operating_system="Ubuntu 24.04.1 LTS",
        kernel="6.8.0-45-generic",
        architecture="x86_64",
        cpu_model="Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz",
        cpu_sockets=2,
        cpu_cores=32,
        cpu_threads=64,
        numa_nodes=2,
        memory_mib=257_541,
        nvidia_driver="580.95.05",
        cuda_driver="13.0",
        gpus=(
            GpuFacts(
                index=0,
                name="NVIDIA A30",
                uuid=f"GPU-{host}",
                memory_mib=24_576,
                pci_bus_id="00000000:17:00.0",
                power_limit_w=165.0,
                power_limit_default_w=165.0,
                ecc_enabled=True,
                mig_enabled=False,
                persistence_mode=True,
                pcie_generation_max=4,
                pcie_width_max=16,
                sm_clock_max_mhz=1440,
                compute_capability="8.0",
            ),
        ),
        python="3.12.3",
        packages={
            "loadfleet-agent": "0.1.0",
            "mlcommons-loadgen": "6.0.17",
            "vllm": "0.32.0",
            "torch": "2.11.0",
        },
    )


def reference_score(suite: Suite) -> RougeScore:
    """MLPerf's reference accuracy of a suite."""
    target = ACCURACY_TARGETS[suite]
    return RougeScore(
        rouge1=target.rouge1,
        rouge2=target.rouge2,
        rougeL=target.rougeL,
        rougeLsum=target.rougeLsum,
        gen_len=target.gen_len,
        gen_num=target.samples,
    )


def printed(score: RougeScore) -> str:
    """accuracy.txt as MLPerf's evaluation prints it."""
    values = {k: f"{v}" for k, v in score.model_dump().items() if k.startswith("rouge")}
    return f"\nResults\n\n{values | {'gen_len': score.gen_len, 'gen_num': score.gen_num}}\n"


def published_score(path: Path) -> RougeScore:
    """The score of a published accuracy.txt."""
    lines = path.read_text(encoding="utf-8").splitlines()
    values = ast.literal_eval(next(line for line in lines if line.startswith("{'rouge1'")))
    return RougeScore.model_validate({k: float(v) for k, v in values.items()})


def rescore(host: Path, score: RougeScore) -> None:
    """Gives a host's folder another accuracy in Offline, sealed as if it had been so."""
    path = host / PHASES / phase_name(Scenario.OFFLINE, Mode.ACCURACY) / ACCURACY_TEXT
    path.write_text(printed(score), encoding="utf-8")

    def change(result: Any) -> None:
        result["accuracy"][0]["score"] = score.model_dump()

    edit_json(host / RESULT, change)
    reseal(host)
