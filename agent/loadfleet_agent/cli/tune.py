"""Find faster engine settings: tune."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..contract.benchmark import Mode, Scenario
from ..contract.plan import RunPlan
from ..contract.rate_search import RateSearch
from .exit import guarded, refuse
from .input import read_plan
from .options import DEFAULT_HOME, Home, Json, Sets, SettingsFile
from .output import tell
from .streams import stdout_to_stderr

app = typer.Typer()
INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell has it."""
UNITS = {"s": 1, "m": 60, "h": 3600}


@app.command(
    epilog="Example: loadfleet-agent tune --settings settings.yaml --budget 30m "
    "--output a30-tuned.yaml"
)
def tune(
    settings: SettingsFile = None,
    sets: Sets = None,
    budget: Annotated[
        str, typer.Option(help="Time to spend, e.g. 30m or 2h; an engine takes minutes to start.")
    ] = "30m",
    scenario: Annotated[
        Scenario, typer.Option(help="What is made faster: Offline, Server or Interactive.")
    ] = Scenario.OFFLINE,
    output: Annotated[
        Path | None, typer.Option(help="Profile to write. Default: tuned-SCENARIO.yaml here.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="An engine setting that stays as it is, e.g. quantization. Repeatable."),
    ] = None,
    pairs: Annotated[
        int, typer.Option(min=0, max=11, help="That confirm the best against the profile.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Search for faster engine settings by short measured runs, and write them as a profile.

    Varied is what MLPerf's closed division leaves open. The same command again goes on after
    the trials that are there. Other number formats change the answers: measure the accuracy of
    the profile with a run before its speed counts.
    """
    # An engine is never left behind, whatever ends the command.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    seconds = _seconds(budget)
    plan = _plan(settings, sets, scenario)
    path = (output or Path(f"tuned-{scenario.value.lower()}.yaml")).resolve()
    if not path.parent.is_dir():
        refuse(f"--output {path}: no such folder {path.parent}")

    def work() -> None:
        from ..tune.profile_file import is_replaceable, tuned_profile, write_profile
        from ..tune.session import Request, describe_gain
        from ..tune.session import tune as search

        if not is_replaceable(path):
            refuse(f"--output {path}: stands there already, and is no profile that tune has made")
        request = Request(plan, scenario, seconds, pairs, tuple(keep or ()), seed)
        with stdout_to_stderr() if json_ else contextlib.nullcontext():
            try:
                found = search(request, home.resolve(), tell)
            except ValueError as error:
                refuse(f"--keep: {error}")
            except KeyboardInterrupt:
                tell("stopped; the same command goes on after the trials that have ended")
                raise typer.Exit(INTERRUPTED) from None
        profile = tuned_profile(found)
        write_profile(path, profile)
        if json_:
            print(found.tuning.model_dump_json(indent=2))
            return
        best = ", ".join(f"{key}={value}" for key, value in found.tuning.best.items())
        print(f"best of {len(found.tuning.trials)} trials: {best}")
        print(f"against {found.tuning.base_profile}: {describe_gain(found.tuning.gain)}")
        for trial in found.tuning.out_of_memory:
            print(f"out of memory: trial {trial.number}: {trial.reason[:160]}")
        print(f"{path} written; logs of every trial: {found.folder}")

    guarded(work, "tune", json_)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None or float(match[1]) == 0:
        refuse(f"--budget {text}: write it as 90s, 30m or 2h")
    return float(match[1]) * UNITS[match[2]]


def _plan(settings: Path | None, sets: list[str] | None, scenario: Scenario) -> RunPlan:
    if scenario is Scenario.SINGLE_STREAM:
        refuse("--scenario SingleStream: one stream leaves nothing to batch; give another")
    plan = read_plan(None, settings, sets, None)
    if plan.engine.kind != "vllm":
        refuse("the settings' engine is not vllm: there is nothing to tune")
    values = plan.model_dump()
    rates = plan.rate_search
    if rates == RateSearch():  # as in a run: too long for many trials
        rates = RateSearch(duration_s=30, probes=4)
    only = {"scenario": scenario, "modes": [Mode.PERFORMANCE], "target_qps": None}
    return RunPlan.model_validate(
        values | {"run_id": "tune", "scenarios": [only], "evaluations": (), "rate_search": rates}
    )
