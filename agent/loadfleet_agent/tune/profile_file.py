"""The profile that tune writes: the best settings, and the evidence for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..contract.files import write_atomic
from ..contract.profile import EngineSettings, Profile, ProfileError, load_profile
from .session import Tuned, describe_gain


def tuned_profile(tuned: Tuned) -> Profile:
    """The profile it started from, with the best engine settings and the evidence."""
    base = load_profile(tuned.plan.profile)
    return base.model_copy(
        update={
            "description": _description(base, tuned),
            "engine": tuned.plan.engine,
            "generation": tuned.plan.generation,
            "environment": tuned.plan.environment,
            "tuning": tuned.tuning,
        }
    )


def write_profile(path: Path, profile: Profile) -> None:
    """As YAML: engine settings that differ from the defaults, all else that is set."""
    values: dict[str, Any] = profile.model_dump(mode="json", exclude_defaults=True)
    # The source of a model or dataset is a default of its own model, and decides which that is.
    for key in ("model", "dataset"):
        if getattr(profile, key) is not None:
            values[key] = profile.model_dump(mode="json", exclude_none=True)[key]
    defaults = EngineSettings().model_dump(mode="json")
    # What tune has chosen is told even where it is vLLM's default.
    chosen = profile.tuning.best if profile.tuning else {}
    engine = profile.engine.model_dump(mode="json")
    values["engine"] = {k: v for k, v in engine.items() if v != defaults[k] or k in chosen}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    write_atomic(path, f"---\n# Made by loadfleet-agent tune; the evidence stands below.\n{text}")


def is_replaceable(path: Path) -> bool:
    """Whether nothing stands there, or a profile that tune has made."""
    if not path.exists():
        return True
    try:
        return load_profile(str(path.resolve())).tuning is not None
    except ProfileError:
        return False


def _description(base: Profile, tuned: Tuned) -> str:
    where = tuned.tuning.gpus[0] if tuned.tuning.gpus else "this CPU"
    return (
        f"{base.description}; tuned for {tuned.tuning.scenario} on {where}: "
        f"{describe_gain(tuned.tuning.gain)}"
    )
