"""The texts of a package: READMEs, calibration, bandwidth. Each from a template."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.benchmark import LATENCY_LIMITS, Mode
from loadfleet_agent.contract.plan import flatten

from .. import __version__
from ..text.markdown import cell
from .description import Description
from .finding import Finding
from .known import BYTES_OF_TOKEN_ID, framework, needs_calibration, software, weights
from .measured import Measured
from .rounds import Division, Round
from .scores import STATEMENT, TRADEMARK, Score
from .source_code import implementation_id, public_environment

LONGEST_INPUT_BY_RULES = 2_048
"""Tokens that the rules' formula of the ingress bandwidth counts for a sample of this benchmark
(``inference_rules.adoc`` at ac93e89c, appendix 'Datacenter Bandwidth Requirements')."""


class Package(Frozen):
    """What all texts of a package have in common."""

    round: str
    division: Division
    submitter: str
    benchmark: str
    source: str
    """Folder of the implementation, below the submitter's."""
    scores: tuple[Score, ...]
    flaws: tuple[Finding, ...]
    """What makes the package a rehearsal; empty in one that can be submitted."""


def package_readme(package: Package, described: dict[str, Measured]) -> str:
    """documentation/README.md. ``described``: system to host."""
    labels = {system: ", ".join(host.labels) for system, host in described.items() if host.labels}
    return _render("package.md.j2", package=package, labels=labels, systems=sorted(described))


def source_readme(package: Package, described: dict[str, Measured]) -> str:
    """What ran, with versions, and how to run it."""
    host = next(iter(described.values()))
    return _render(
        "source.md.j2",
        package=package,
        systems=sorted(described),
        framework=framework(host),
        software=software(host),
        weights=weights(host),
        dataset=host.dataset,
        generation=host.plan.generation,
        runtime=host.plan.runtime.value,
        settings={name: _settings(item) for name, item in sorted(described.items())},
    )


def scenario_readme(
    package: Package, system: str, host: Measured, score: Score, *, with_test06: bool
) -> str:
    """README.md beside a scenario's logs: what was measured, and how to measure it again."""
    scenario = score.scenario
    phase = host.phase(scenario, Mode.PERFORMANCE)
    assert phase is not None  # every packaged scenario has one
    return _render(
        "scenario.md.j2",
        package=package,
        system=system,
        score=score,
        host=host,
        phase=phase,
        logged=phase.loadgen,
        limits=LATENCY_LIMITS.get(scenario),
        with_test06=with_test06,
    )


def calibration_page(
    package: Package, described: dict[str, Measured], descriptions: list[Description]
) -> str:
    host = next(iter(described.values()))
    return _render(
        "calibration.md.j2",
        package=package,
        quantised=needs_calibration(host),
        dtype=host.plan.engine.dtype,
        kv_cache_dtype=host.plan.engine.kv_cache_dtype,
        weights=weights(host),
        calibration=descriptions[0].calibration,
    )


def bandwidth_page(package: Package, described: dict[str, Measured]) -> str:
    """The bytes per second that each system must be able to take in, by the rules' formula."""
    rows = []
    for system, host in sorted(described.items()):
        for scenario in host.scenarios:
            phase = host.phase(scenario, Mode.PERFORMANCE)
            if phase is not None and (rate := phase.loadgen.samples_per_second):
                needed = rate * LONGEST_INPUT_BY_RULES * BYTES_OF_TOKEN_ID
                rows.append((system, scenario.value, rate, needed))
    return _render("bandwidth.md.j2", package=package, rows=rows)


def new_package(
    round_: Round,
    division: Division,
    submitter: str,
    benchmark: str,
    scores: list[Score],
    flaws: list[Finding],
) -> Package:
    return Package(
        round=round_.name,
        division=division,
        submitter=submitter,
        benchmark=benchmark,
        source=f"{round_.source}/{benchmark}/{implementation_id()}",
        scores=tuple(scores),
        flaws=tuple(flaws),
    )


def _settings(host: Measured) -> dict[str, str]:
    """What the engine was given and what it resolved."""
    given = {f"engine.{k}": str(v) for k, v in flatten(host.plan.engine.model_dump()).items()}
    resolved = {f"resolved {k}": str(v) for k, v in host.engine.settings.items()}
    environment = {f"environment {k}": v for k, v in public_environment(host).items()}
    return given | resolved | environment


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader("loadfleet_aggregator.submission"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown for people; the package is no web page
    )
    environment.filters["cell"] = cell
    common = {"statement": STATEMENT, "trademark": TRADEMARK, "version": __version__}
    return environment.get_template(template).render(common | values)
