"""What a running agent tells: Status (replaced as it moves) and Event (appended)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Amount, Count, Document, Frozen, Integer, Line, Name, Sha256, Text, UtcTime

MOST_BARRIERS = 16
"""More than scenarios, of which each has one."""


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        return self is not State.RUNNING


class FailureCode(StrEnum):
    """Why a run failed. Each has a hint in ``HINTS``."""

    BAD_PLAN = "bad-plan"
    BUSY = "busy"
    MODEL_MISSING = "model-missing"
    MODEL_CORRUPT = "model-corrupt"
    HUB_ACCESS = "hub-access"
    HUB_UNREACHABLE = "hub-unreachable"
    DATASET_MISSING = "dataset-missing"
    DATASET_INVALID = "dataset-invalid"
    PROMPT_TOO_LONG = "prompt-too-long"
    UNKNOWN_TASK = "unknown-task"
    EVALUATION_DATA = "evaluation-data"
    EVALUATION = "evaluation"
    PUNKT_MISSING = "punkt-missing"
    NO_SPACE = "no-space"
    PACKAGE_MISSING = "package-missing"
    RUNTIME_MISSING = "runtime-missing"
    OUT_OF_MEMORY = "out-of-memory"
    OUT_OF_GPU_MEMORY = "out-of-gpu-memory"
    TOO_FEW_GPUS = "too-few-gpus"
    UNFIT_HOST = "unfit-host"
    UNFIT_MODEL = "unfit-model"
    DRIVER_TOO_OLD = "driver-too-old"
    ENGINE_VERSION = "engine-version"
    ENGINE_START = "engine-start"
    ENGINE_DIED = "engine-died"
    LOADGEN = "loadgen"
    RATE_NOT_FOUND = "rate-not-found"
    STALLED = "stalled"
    CLOCK_SET = "clock-set"
    BARRIER_TIMEOUT = "barrier-timeout"
    NOT_WAITING = "not-waiting"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


HINTS: dict[FailureCode, str] = {
    FailureCode.BAD_PLAN: "correct the setting that is named and start again",
    FailureCode.BUSY: "wait for it, or stop it with: loadfleet-agent stop",
    FailureCode.MODEL_MISSING: "put the model there, or change the model setting",
    FailureCode.MODEL_CORRUPT: "start the download again, it fetches only what is wrong; if it "
    "comes back, look at the mirror and at this disk",
    FailureCode.HUB_ACCESS: "accept the model's terms on its page with the account of the token, "
    "make a token that may read at https://huggingface.co/settings/tokens, give it in --token-file",
    FailureCode.HUB_UNREACHABLE: "look at the network and HTTPS_PROXY, or name a mirror with "
    "--endpoint; start again: it goes on where it broke off",
    FailureCode.DATASET_MISSING: "put the file there, fetch it with: loadfleet-agent "
    "download-dataset, or change the dataset setting",
    FailureCode.DATASET_INVALID: "fetch it again, or use MLPerf's file, made with this model's "
    "tokenizer",
    FailureCode.PROMPT_TOO_LONG: "raise engine.max_model_len; prompts are never truncated",
    FailureCode.UNKNOWN_TASK: "correct the name in evaluations; lm_eval ls tasks names all",
    FailureCode.EVALUATION_DATA: "MMLU: fetch it with: loadfleet-agent download-dataset --source "
    "mmlu, put a copy in the hub's own format there and name it in mmlu_data, or set mmlu_data to "
    "synthetic; another task: loadfleet-agent download-task",
    FailureCode.EVALUATION: "read engine.log; what lm_eval said of the task is there",
    FailureCode.PUNKT_MISSING: "deploy the agent from its wheelhouse, which carries the data, or "
    "set NLTK_DATA to a folder that holds tokenizers/punkt_tab/english",
    FailureCode.NO_SPACE: "free space on the disk that is named and start again: "
    "finished phases are kept",
    FailureCode.PACKAGE_MISSING: "install the agent with its extras: run and cpu or cuda to run, "
    "data to rebuild a dataset, evaluate for MMLU, hub to download",
    FailureCode.RUNTIME_MISSING: "provision the host with the role agent and runtime container, "
    "or set runtime: venv",
    FailureCode.OUT_OF_MEMORY: "see what else takes the host's memory, take fewer replicas (on the "
    "CPU build a smaller engine.cpu_kv_cache_gib), and start again: finished phases are kept",
    FailureCode.OUT_OF_GPU_MEMORY: "lower engine.max_model_len, engine.max_num_seqs or "
    "engine.gpu_memory_utilization, and see that nothing else uses the GPU",
    FailureCode.UNFIT_HOST: "take a profile that fits these GPUs; loadfleet-agent inspect shows "
    "what each can do",
    FailureCode.UNFIT_MODEL: "name a checkpoint of that precision, or take the profile of this one",
    FailureCode.TOO_FEW_GPUS: "look at nvidia-smi on the host; engine.replicas times "
    "engine.tensor_parallel_size GPUs are needed, of those in CUDA_VISIBLE_DEVICES if that is set",
    FailureCode.DRIVER_TOO_OLD: "install NVIDIA driver 580 or newer",
    FailureCode.ENGINE_VERSION: "deploy the agent with the vLLM of its lock, or an image that has "
    "one of these",
    FailureCode.ENGINE_START: "read engine.log in the run folder",
    FailureCode.ENGINE_DIED: "read engine.log in the run folder; start again to go on "
    "after the finished phases",
    FailureCode.LOADGEN: "read mlperf_log_detail.txt of the phase",
    FailureCode.RATE_NOT_FOUND: "leave the scenario out, or make the engine faster: its first "
    "token or its tokens come too late at any rate",
    FailureCode.STALLED: "read engine.log; if the work is only slow, raise the inactivity limit",
    FailureCode.CLOCK_SET: "let NTP step the clock only at boot (chrony: makestep with a limit) "
    "and start again: finished phases are kept",
    FailureCode.BARRIER_TIMEOUT: "see what kept the other hosts or the controller, and start the "
    "same run again: it goes on after the finished phases; inactivity.barrier_s is how long it "
    "waits",
    FailureCode.NOT_WAITING: "look where it is with: loadfleet-agent status",
    FailureCode.STOPPED: "start the same run again to go on after the finished phases",
    FailureCode.INTERRUPTED: "start the same run again to go on after the finished phases",
    FailureCode.INTERNAL: "this is a fault of loadfleet-agent: please report it with agent.log",
}


class Failure(Frozen):
    """Why something did not succeed, and what to do about it."""

    code: FailureCode
    phase: Line = Field(description="phase in which it happened, or ''")
    message: Text
    hint: Text


def make_failure(code: FailureCode, phase: str, message: str) -> Failure:
    """A failure with the hint that belongs to its code."""
    return Failure(code=code, phase=phase, message=message, hint=HINTS[code])


class Status(Document):
    """status.json: replaced atomically at every change and at least every 5 s."""

    run_id: Name
    plan_hash: Sha256
    seq: Count = Field(description="grows with every write: the heartbeat")
    state: State
    phase: Line
    phase_index: Count = Field(description="0-based")
    phase_count: Annotated[Count, Field(ge=1)]
    done: Count = Field(description="samples or steps finished in this phase")
    total: Count = Field(description="0: not known")
    unit: Line = Field(description="what done and total count, e.g. samples")
    rate_per_s: Amount = Field(description="done per second, over the last 30 s")
    tokens_per_s: Amount = Field(description="output tokens per second, the last 30 s")
    eta_s: Amount | None = Field(default=None, description="to the end of this phase")
    message: Text
    barrier: Line | None = Field(
        default=None,
        description="the phase that is ready and waits for loadfleet-agent go, or None",
    )
    barriers_ahead: tuple[Line, ...] = Field(
        default=(),
        max_length=MOST_BARRIERS,
        description="phases that will still wait so, this one with them, in their order",
    )
    attempt: Annotated[Count, Field(ge=1)] = Field(description="how often this run was started")
    started_utc: UtcTime
    updated_utc: UtcTime
    last_progress_utc: UtcTime
    pid: Integer
    systemd_unit: Line | None
    boot_id: Line
    shutdown: bool = Field(default=False, description="the host itself is going down")
    failure: Failure | None = None


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Event(Document):
    """One line of events.jsonl."""

    at_utc: UtcTime
    level: Level
    phase: Line
    code: Line = Field(description="short and stable, e.g. phase-started; a FailureCode for errors")
    message: Text
    hint: Text = ""
