"""Writes docs/settings.md: python -m loadfleet_aggregator.settings_reference FILE."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.plan import InactivityLimits, ShortLength
from loadfleet_agent.contract.profile import (
    EngineSettings,
    Generation,
    known_profiles,
    load_profile,
)
from loadfleet_agent.contract.rate_search import RateSearch
from loadfleet_agent.contract.settings import HostSettings
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .fleet.settings import PREFIX, FleetSettings

HEAD = """# Settings

Every setting is an inventory variable with the prefix `loadfleet_`: in `group_vars/`,
`host_vars/`, `hosts.yml`, or `-e` on the command line. An unknown or misspelt one is an error,
before any host is touched. The agent by hand takes those of the first table without the prefix,
from `--settings FILE` and `--set key=value`.

This page is generated from the models (`make reference`).
"""


def settings_text() -> str:
    """The page."""
    parts = [
        HEAD,
        "## What is run, for each host\n",
        _table(HostSettings, PREFIX),
        "## How a run is carried out\n",
        _table(FleetSettings, PREFIX),
        "## Keys of `loadfleet_engine`\n",
        _table(EngineSettings),
        "## Keys of `loadfleet_generation`\n",
        _table(Generation),
        "## Keys of a short `loadfleet_length`\n",
        _table(ShortLength),
        "## Keys of `loadfleet_rate_search`\n",
        _table(RateSearch),
        "## Keys of `loadfleet_inactivity`\n",
        _table(InactivityLimits),
        "## Model and dataset\n",
        "```yaml\n"
        "loadfleet_model: {source: hub, repo: meta-llama/Llama-3.1-8B-Instruct, revision: main}\n"
        "loadfleet_model: {source: path, path: /data/models/Llama-3.1-8B-Instruct}\n"
        "loadfleet_model: {source: tiny, seed: 0}\n"
        "loadfleet_model: {source: dummy}   # Llama-3.1-8B's geometry, random weights\n\n"
        "loadfleet_dataset: {source: mlcommons}\n"
        "loadfleet_dataset: {source: file, path: /data/cnn_eval.json}\n"
        "loadfleet_dataset: {source: rebuilt}\n"
        "loadfleet_dataset: {source: synthetic, seed: 0}\n"
        "loadfleet_dataset: [{source: mlcommons}, {source: rebuilt}]  # the first that is there\n"
        "```\n",
        "## Profiles\n",
        "\n".join(f"- `{name}`: {load_profile(name).description}" for name in known_profiles())
        + "\n",
    ]
    return "\n".join(parts)


def _table(model: type[BaseModel], prefix: str = "") -> str:
    lines = ["| setting | default | |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if name == "kind" and model is ShortLength:
            continue
        lines.append(
            f"| `{prefix}{name}` | {_default(field.default)} | {field.description or ''} |"
        )
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        value = [getattr(item, "value", item) for item in value]
    return "" if value is None else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(settings_text(), encoding="utf-8")
