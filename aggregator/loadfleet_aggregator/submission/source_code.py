"""The source code that a package brings: the agent that ran, and each system's plan."""

from __future__ import annotations

import json
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import loadfleet_agent
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .finding import Finding
from .measured import Measured

AGENT_PACKAGE = "loadfleet-agent"
SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|KEY", re.IGNORECASE)
HIDDEN = "(not shown)"


def implementation_id() -> str:
    """Folder of the implementation below the benchmark's."""
    return f"{AGENT_PACKAGE}-{loadfleet_agent.__version__}"


def check_source(hosts: list[Measured]) -> list[Finding]:
    """Hosts that ran another version than the one whose source is here."""
    here = loadfleet_agent.__version__
    return [
        Finding(
            where=host.where("host.json"),
            what=f"ran {AGENT_PACKAGE} {ran}, and the source code here is of {here}",
            todo=f"make the package with loadfleet {ran}: the rules ask for the code that ran",
        )
        for host in hosts
        if (ran := host.facts.packages.get(AGENT_PACKAGE, "of unknown version")) != here
    ]


def write_source(folder: Path, plans: dict[str, Measured]) -> None:
    """The agent's source, what it needs, and by system the plan that it carried out."""
    package = Path(loadfleet_agent.__file__).parent
    shutil.copytree(
        package,
        folder / package.name,
        ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
        dirs_exist_ok=True,
    )
    host = next(iter(plans.values()))
    text = "".join(f"{line}\n" for line in _requirements(host))
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    (folder / "plans").mkdir(exist_ok=True)
    for system, host in plans.items():
        path = folder / "plans" / f"{system}.json"
        path.write_text(json.dumps(_public_plan(host), indent=2) + "\n", encoding="utf-8")


def _requirements(host: Measured) -> list[str]:
    """What pip must install for the agent: in the version that ran where the host told it."""
    extras = ("", "run", "data", host.plan.build.value)
    lines = []
    for text in metadata.requires(AGENT_PACKAGE) or ():
        needed = Requirement(text)
        if needed.marker and not any(needed.marker.evaluate({"extra": name}) for name in extras):
            continue
        ran = host.facts.packages.get(canonicalize_name(needed.name))
        lines.append(f"{needed.name}=={ran}" if ran else f"{needed.name}{needed.specifier}")
    return sorted(dict.fromkeys(lines))


def _public_plan(host: Measured) -> dict[str, Any]:
    """The plan without what a variable of the engine's environment may hold in secret."""
    plan: dict[str, Any] = host.plan.model_dump(mode="json")
    plan["environment"] = public_environment(host)
    return plan


def public_environment(host: Measured) -> dict[str, str]:
    """The engine's environment, without values whose names look like secrets."""
    return {
        name: HIDDEN if SECRET.search(name) else value
        for name, value in host.plan.environment.items()
    }
