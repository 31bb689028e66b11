"""What the commands print, for programs and for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ..contract.evaluation import EvaluationResult
from ..contract.status import Status


def print_json(values: dict[str, Any]) -> None:
    """Values, models among them, as one JSON object."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        return value.model_dump(mode="json") if isinstance(value, BaseModel) else value

    print(json.dumps({key: plain(value) for key, value in values.items()}, indent=2))


def tell(line: str) -> None:
    """Progress of a command whose answer is on standard output."""
    print(line, file=sys.stderr, flush=True)


def print_result(result: Any) -> None:
    """A HostResult: its verdict, then a line for each LoadGen run and each accuracy."""
    print(f"run {result.run_id}: {result.outcome}, {'valid' if result.valid else 'not valid'}")
    if result.labels:
        print(f"labels: {', '.join(result.labels)} (not MLPerf)")
    for phase in result.phases:
        speed = phase.loadgen.tokens_per_second
        text = f"{speed:,.1f} tokens/s" if speed else f"{phase.samples} samples"
        print(f"  {phase.name}: {text}" + "".join(f"\n    {finding}" for finding in phase.gate))
    for item in result.accuracy:
        verdict = {True: "passed", False: f"missed: {item.reason}", None: item.reason}[item.passed]
        print(f"  {item.scenario.value} ROUGE-1 {item.score.rouge1}: {verdict}")
    for evaluation in result.evaluations:
        print(f"  {evaluation.name}: {_said(evaluation)}")
    if result.failure:
        print(f"  {result.failure.phase}: {result.failure.message} [{result.failure.code.value}]")
        print(f"  {result.failure.hint}")


def _said(evaluation: EvaluationResult) -> str:
    labels = f" ({', '.join(evaluation.labels)})" if evaluation.labels else ""
    if evaluation.score is None:
        return f"{evaluation.questions:,} questions{labels}"
    score = evaluation.score
    return (
        f"micro {score.micro:.2f} % ({score.micro_interval.low:.2f} to "
        f"{score.micro_interval.high:.2f}), macro {score.macro:.2f} % of "
        f"{score.questions:,} questions{labels}"
    )


def status_line(status: Status) -> str:
    """How far a run is, on one line."""
    text = f"{status.phase_index + 1}/{status.phase_count} {status.phase}"
    if status.total:
        text += f" {status.done}/{status.total} {status.unit}"
    if status.tokens_per_s:
        text += f", {status.tokens_per_s:,.0f} tokens/s"
    if status.eta_s is not None:
        text += f", {status.eta_s:.0f} s left"
    return f"{status.run_id}: {status.state.value}: {text} {status.message}".rstrip()


def print_status(status: Status) -> None:
    print(status_line(status), flush=True)


def quiet(_: Status) -> None:
    return None


def every(seconds: float, show: Callable[[Status], None]) -> Callable[[Status], None]:
    """Shows a status when its phase or state changes, else at most once in ``seconds``."""
    last: list[Any] = [None, 0.0]

    def tell(status: Status) -> None:
        key, now = (status.phase, status.state), time.monotonic()
        if key != last[0] or now - last[1] >= seconds:
            last[:] = [key, now]
            show(status)

    return tell
