"""Names of the files in a run folder; the same on the host and on the controller."""

from __future__ import annotations

import hashlib
from pathlib import Path

PLAN = "plan.json"
STATUS = "status.json"
EVENTS = "events.jsonl"
HOST_FACTS = "host.json"
ENGINE_FACTS = "engine.json"
TELEMETRY = "telemetry.jsonl"
RESULT = "result.json"
MANIFEST = "manifest.json"
AGENT_LOG = "agent.log"
ENGINE_LOG = "engine.log"
PHASES = "phases"
STARTS = "starts"
"""Folder of what ``go`` told: a phase's name with .json, a StartSignal."""

PHASE_RESULT = "phase.json"
RATE_RESULT = "rate.json"
USER_CONF = "user.conf"
AUDIT_CONFIG = "audit.config"
VERIFY_ACCURACY = "verify_accuracy.txt"
SAMPLES = "samples.parquet"
ENGINE_LOAD = "engine_load.jsonl"
EVALUATION_RESULT = "evaluation.json"
ANSWERS = "answers.parquet"
LM_EVAL_RESULTS = "lm_eval_results.json"
"""lm_eval's own results of an evaluation, as its command line would write them."""
ACCURACY_TEXT = "accuracy.txt"
DETAIL_LOG = "mlperf_log_detail.txt"
SUMMARY_LOG = "mlperf_log_summary.txt"
ACCURACY_LOG = "mlperf_log_accuracy.json"
LOADGEN_FILES = (DETAIL_LOG, SUMMARY_LOG, ACCURACY_LOG)

NOT_IN_MANIFEST = frozenset({MANIFEST, STATUS, AGENT_LOG})
"""The manifest itself, and files that still change after it is written."""


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
