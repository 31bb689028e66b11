"""What measuring costs: overhead."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..contract.plan import RunPlan
from .exit import guarded, refuse
from .input import read_plan
from .options import DEFAULT_HOME, Home, Json, Sets, SettingsFile
from .output import tell
from .streams import stdout_to_stderr

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet-agent overhead --set profile=dummy-8b --set length.samples=2500"
)
def overhead(
    engine: Annotated[
        Literal["null", "vllm"],
        typer.Option(help="null: the harness without a model; vllm: the settings' engine."),
    ] = "vllm",
    settings: SettingsFile = None,
    sets: Sets = None,
    pairs: Annotated[int, typer.Option(min=1, max=20, help="Of vLLM alone and LoadGen.")] = 3,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Measure what LoadGen and the agent cost beside vLLM alone, on the same prompts.

    With --engine null: the most samples and queries per second that they can do at all.
    """
    if engine == "null" and (settings or sets):
        refuse("--engine null takes no settings: it is a run of its own")

    def work() -> None:
        from ..overhead.null_ceiling import measure_null
        from ..overhead.pairs import measure_pairs

        found = None
        with stdout_to_stderr() if json_ else contextlib.nullcontext():
            if engine == "null":
                ceiling = measure_null(home)
            else:
                found = measure_pairs(_plan(settings, sets), home.resolve(), pairs, tell)
        if json_:
            print((found or ceiling).model_dump_json(indent=2))
        elif found is not None:
            for pair in found.pairs:
                print(
                    f"vLLM alone {pair.raw.tokens_per_s:,.1f} tokens/s "
                    f"({pair.raw.cpu_share:.0%} of a core), through LoadGen "
                    f"{pair.loadgen.tokens_per_s:,.1f} ({pair.loadgen.cpu_share:.0%}): "
                    f"{pair.ratio:.4f}"
                )
            print(
                f"ratio {found.ratio:.4f} (median of {len(found.pairs)}, "
                f"{found.lowest:.4f} to {found.highest:.4f}), {found.prompts} prompts"
            )
        else:
            print(
                f"Offline {ceiling.offline_samples_per_s:,.0f} samples/s "
                f"({ceiling.offline_cpu_share:.0%} of a core)"
            )
            print(
                f"Server {ceiling.server_queries_per_s_held:,.0f} queries/s held, TTFT p99 "
                f"{ceiling.server_ttft_p99_ms:.2f} ms ({ceiling.server_cpu_share:.0%} of a core)"
            )

    guarded(work, "overhead", json_)


def _plan(settings: Path | None, sets: list[str] | None) -> RunPlan:
    given = ["scenarios=[Offline]", "modes=[performance]", *(sets or [])]
    plan = read_plan(None, settings, given, None)
    if plan.engine.kind != "vllm":
        refuse("the settings' engine is not vllm: give --engine null")
    if plan.length.kind == "official":
        refuse("the length is official: give --set length.samples=2500 or so")
    return plan
