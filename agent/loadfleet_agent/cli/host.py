"""What is on this host, and what a run needs on it: inspect, prepare."""

from __future__ import annotations

import typer

from .exit import guarded
from .input import read_plan
from .options import DEFAULT_HOME, Home, Json, PlanFile, Sets, SettingsFile
from .output import print_json
from .rooflines import host_limits, limits_lines

app = typer.Typer()


@app.command(epilog="Example: loadfleet-agent inspect --json")
def inspect(json_: Json = False) -> None:
    """Show the hardware and software of this host, as a run records them, and what each GPU can
    do at most (roofline)."""
    from ..host.facts import host_facts

    facts = host_facts()
    limits = host_limits(facts.gpus)
    if json_:
        gpu_limits = [kind.model_dump(mode="json") for kind in limits]
        print_json(facts.model_dump(mode="json") | {"gpu_limits": gpu_limits})
        return
    print(f"{facts.hostname}: {facts.operating_system}, kernel {facts.kernel}")
    print(f"{facts.cpu_model}, {facts.cpu_cores} cores, {facts.memory_mib / 1024:.0f} GiB")
    for gpu in facts.gpus:
        print(f"GPU {gpu.index}: {gpu.name}, {gpu.memory_mib / 1024:.0f} GiB, {gpu.uuid}")
    if not facts.gpus:
        print("no NVIDIA GPU")
    print(f"driver {facts.nvidia_driver or 'none'}, Python {facts.python}")
    print(", ".join(f"{name} {version}" for name, version in facts.packages.items()))
    for line in limits_lines(limits):
        print(line)


@app.command(epilog="Example: loadfleet-agent prepare --settings settings.yaml")
def prepare(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put model, dataset and scoring data in place, so that a run needs no network."""
    resolved = read_plan(plan, settings, sets, None)

    def work() -> None:
        from ..contract.files import folder_for_all
        from ..host.owner import become_owner
        from ..run import prepare as prepare_run

        folder_for_all(home)  # of the runs that follow, which a watcher looks at
        become_owner(home)
        model, library, _ = prepare_run(resolved, home)
        facts = library.facts if library else None
        if json_:
            print_json({"model": model, "dataset": facts})
            return
        print(f"model: {model.name} in {model.path}")
        for evaluation in resolved.evaluations:
            print(f"evaluation: {evaluation.task}: its questions are here and fit")
        if facts is None:
            return
        for skipped in facts.skipped:
            print(f"dataset: {skipped.source} skipped: {skipped.reason}")
        print(
            f"dataset: {facts.samples} samples ({facts.label}), "
            f"{facts.input_tokens.mean:.0f} tokens on average, {facts.origin}"
        )

    guarded(work, "prepare", json_)
