"""The files that a host's plan needs on the host before it runs, and what brings them."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.dataset import DATASET_FILES, DatasetSource
from loadfleet_agent.contract.model import ModelSource
from loadfleet_agent.contract.plan import RunPlan, Runtime
from pydantic import ConfigDict, Field

from ..fleet.settings import PlannedHost

USUAL_CACHES = ("/root/.cache/huggingface/hub", "/home/*/.cache/huggingface/hub")
"""Hugging Face's own, of the users that may run the agent."""
CACHES_ROLE = "run playbooks/provision.yml --tags hf_auth,caches"


class WantedFile(Frozen):
    """A file of which one of several places will do."""

    model_config = ConfigDict(populate_by_name=True)

    check: str = Field(description="model or dataset")
    what: str
    any: tuple[str, ...] = Field(description="absolute paths, as globs")
    remedy: str


def wanted_files(host: PlannedHost) -> list[WantedFile]:
    """None for what the agent makes itself, or what the run brings from the controller."""
    found = [_model(host.plan.model, host.fleet.home, host.plan.runtime), _dataset(host)]
    return [item for item in found if item is not None]


def _model(source: ModelSource, home: str, runtime: Runtime) -> WantedFile | None:
    if source.source == "path":
        return WantedFile(
            check="model",
            what=f"model {source.path}",
            any=(f"{source.path}/config.json",),
            remedy="copy the model's folder there, or mend loadfleet_model",
        )
    if source.source != "hub":
        return None
    caches = [source.cache or f"{home}/cache/hub"]
    if not source.cache and runtime is Runtime.VENV:
        caches += USUAL_CACHES
    folder = f"models--{source.repo.replace('/', '--')}"
    return WantedFile(
        check="model",
        what=f"model {source.repo}",
        any=tuple(
            f"{cache}/{folder}/{name}"
            for cache in caches
            for name in (f"verified-{source.revision}.json", "snapshots/*/config.json")
        ),
        remedy=f"{CACHES_ROLE}, or loadfleet-agent download on the host",
    )


def _dataset(host: PlannedHost) -> WantedFile | None:
    """Of several sources one will do."""
    places: list[str] = []
    for source in host.plan.dataset:
        if source.source == "synthetic" or getattr(source, "path", None) in host.brought:
            return None
        places += _places(source, host.plan, host.fleet.home)
    return WantedFile(
        check="dataset",
        what=f"dataset ({', then '.join(source.source for source in host.plan.dataset)})",
        any=tuple(places),
        remedy=f"{CACHES_ROLE} with caches_dataset, or bring it by hand (docs/dataset.md)",
    )


def _places(source: DatasetSource, plan: RunPlan, home: str) -> list[str]:
    if source.source == "mlcommons":
        return [f"{source.folder or f'{home}/datasets'}/{DATASET_FILES[plan.suite]}"]
    if source.source == "file":
        return [source.path]
    if source.source == "rebuilt":
        folder = f"datasets--{source.repo.replace('/', '--')}/snapshots/{source.revision}"
        return [f"{source.path or f'{home}/cache/hub/{folder}'}/README.md"]
    return []
