"""Real vLLM under real LoadGen, with the tiny model on the CPU build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.profile import load_profile
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.library import build_library
from waiting import wait_until

from ..conftest import VLLM_SETTINGS, FinishedRun
from ..helpers import Agent

pytestmark = pytest.mark.vllm

MAX_TOKENS = load_profile("cpu-smoke").generation.max_tokens


def _answers(run: FinishedRun, phase: str) -> dict[int, list[int]]:
    """Token ids of each sample in LoadGen's accuracy log."""
    log = json.loads((run.folder / "phases" / phase / "mlperf_log_accuracy.json").read_text())
    found = {}
    for entry in log:
        data = bytes.fromhex(entry["data"])
        found[entry["qsl_idx"]] = [
            int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)
        ]
    return found


def test_the_run_is_valid(vllm_run: FinishedRun) -> None:
    assert vllm_run.returncode == 0, vllm_run.stdout + vllm_run.stderr
    result = vllm_run.agent.result(vllm_run.run_id)
    assert result.valid
    assert [phase.name for phase in result.phases] == [
        "offline-performance",
        "offline-accuracy",
        "server-performance",
        "server-accuracy",
    ]
    assert result.labels == (
        "short",
        "synthetic-dataset",
        "random-weights",
        f"output-limit-{MAX_TOKENS}",
    )
    assert not vllm_run.agent.processes()


def test_the_engine_says_what_it_is(vllm_run: FinishedRun) -> None:
    engine = vllm_run.agent.result(vllm_run.run_id).engine
    assert engine is not None
    assert engine.kind == "vllm"
    assert engine.version.startswith("vllm")
    assert engine.start_s > 0
    assert engine.settings["dtype"] == "torch.bfloat16"
    assert engine.settings["max_model_len"] == 512
    assert engine.settings["max_num_seqs"] == 32
    assert engine.settings["prefix_caching"] is False
    assert engine.settings["enforce_eager"] is True


@pytest.mark.parametrize("phase", ["offline-accuracy", "server-accuracy"])
def test_the_answers_are_real_tokens(vllm_run: FinishedRun, phase: str) -> None:
    result = vllm_run.agent.result(vllm_run.run_id)
    assert result.model is not None
    answers = _answers(vllm_run, phase)
    assert set(answers) == set(range(64))
    for ids in answers.values():
        assert 2 <= len(ids) <= MAX_TOKENS
        assert all(0 <= token < result.model.vocabulary for token in ids)
        # A stop token ends an answer; it is part of it and never within it.
        assert not set(ids[:-1]) & set(result.model.stop_token_ids)
        assert len(ids) == MAX_TOKENS or ids[-1] in result.model.stop_token_ids
    assert len({tuple(ids) for ids in answers.values()}) > 32


def test_offline_answers_are_those_of_vllm_used_directly(
    vllm_run: FinishedRun, tmp_path: Path
) -> None:
    """In bfloat16 another batch may turn a close decision, so a few answers may differ."""
    plan = RunPlan.model_validate_json((vllm_run.folder / "plan.json").read_bytes())
    model = vllm_run.agent.result(vllm_run.run_id).model
    assert model is not None
    library = build_library(plan, model, vllm_run.agent.home)
    (tmp_path / "prompts.json").write_text(json.dumps(library.prompts))
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("direct_generate.py")),
            model.path,
            str(tmp_path / "prompts.json"),
            str(tmp_path / "answers.json"),
            str(MAX_TOKENS),
        ],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    direct = json.loads((tmp_path / "answers.json").read_text())
    ours = _answers(vllm_run, "offline-accuracy")
    equal = sum(ours[index] == ids for index, ids in enumerate(direct))
    share = equal / len(direct)
    print(f"{equal} of {len(direct)} answers are equal ({share:.2f})")
    assert share >= 0.8


def test_server_tokens_come_one_after_the_other(vllm_run: FinishedRun) -> None:
    table = pq.read_table(vllm_run.folder / "phases" / "server-performance" / "samples.parquet")
    first, last = table["first_token_ns"].to_numpy(), table["last_token_ns"].to_numpy()
    issue = table["issue_ns"].to_numpy()
    assert (issue < first).all()
    assert (first < last)[table["output_tokens"].to_numpy() > 1].all()
    (phase,) = (
        phase
        for phase in vllm_run.agent.result(vllm_run.run_id).phases
        if phase.name == "server-performance"
    )
    assert phase.loadgen.ttft is not None
    assert phase.loadgen.ttft.minimum > 0
    # LoadGen measures from the query's due time to our report of the token, we from the moment
    # at which it handed the query over to the token itself: within LoadGen's time.
    assert 0 < (first - issue).mean() <= phase.loadgen.ttft.mean


def test_an_engine_core_that_is_killed_ends_the_run_with_the_reason(agent: Agent) -> None:
    settings = VLLM_SETTINGS | {
        "scenarios": ["Server"],
        "modes": ["performance"],
        "server_target_qps": 5,
    }
    agent.start("killed", settings)
    agent.await_phase("killed", "server-performance", done=5)
    # vLLM writes its titles over the environment: look for them by descent, not by our mark.
    family = agent.worker().children(recursive=True)
    cores = [p for p in family if "EngineCore" in " ".join([p.name(), *p.cmdline()])]
    assert len(cores) == 1, family
    cores[0].kill()
    done = agent("wait", "--run-id", "killed")
    assert done.returncode == 1
    result = agent.result("killed")
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.code is FailureCode.ENGINE_DIED
    assert result.failure.phase == "server-performance"
    # It did not wait for the end of LoadGen's schedule.
    status = agent.status("killed")
    assert status is not None
    assert status.done < status.total
    agent.await_no_process()
    wait_until(lambda: not any(map(_lives, family)), "no process of vLLM left", 60)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_its_scheduler_was_busy_with_is_recorded(vllm_run: FinishedRun) -> None:
    result = vllm_run.agent.result(vllm_run.run_id)
    assert result.engine is not None
    batch = result.engine.settings["max_num_seqs"]
    assert isinstance(batch, int)
    for phase in result.phases:
        path = vllm_run.folder / "phases" / phase.name / "engine_load.jsonl"
        told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert all(0 <= line["running"] <= batch for line in told)
        assert all(line["waiting"] >= 0 and 0 <= line["kv_cache"] <= 1 for line in told)
        # All is answered as LoadGen ends.
        assert (told[-1]["running"], told[-1]["waiting"]) == (0, 0)
        assert "engine_load.jsonl" in phase.files
    busiest = max(
        json.loads(line)["kv_cache"]
        for phase in result.phases
        for line in (vllm_run.folder / "phases" / phase.name / "engine_load.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    assert busiest > 0
