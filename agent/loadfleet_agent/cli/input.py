"""What the flags say, as values; wrong input ends the command with one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from ..contract.base import NAME_PATTERN, utc_now
from ..contract.plan import RunPlan
from ..contract.profile import describe_errors
from ..contract.settings import SettingsError, parse_settings, resolve_plan
from .exit import refuse

if TYPE_CHECKING:
    from ..runs import Runs  # heavier than most commands need


def read_plan(
    plan: str | None, settings: Path | None, sets: list[str] | None, run_id: str | None
) -> RunPlan:
    """The plan of the flags; ends the command with one line if they are wrong."""
    try:
        if plan is not None:
            if settings or sets or run_id:
                refuse("--plan is whole by itself: leave --settings, --set and --run-id out")
            text = sys.stdin.read() if plan == "-" else Path(plan).read_text(encoding="utf-8")
            return RunPlan.model_validate_json(text)
        values: dict[str, Any] = {}
        if settings is not None:
            loaded = yaml.safe_load(settings.read_text(encoding="utf-8"))
            if not isinstance(loaded, dict):
                refuse(f"{settings}: settings must be keys with values")
            values = loaded
        for item in sets or []:
            _set_key(values, item)
        new_id = run_id or f"{utc_now():%Y%m%dT%H%M%SZ}-run"
        return resolve_plan(parse_settings(values), run_id=new_id, host="localhost")
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}")
    except UnicodeDecodeError:
        refuse(f"{settings or plan}: not UTF-8 text")
    except yaml.YAMLError as error:
        refuse(f"{settings}: not YAML: {str(error).splitlines()[0]}")
    except SettingsError as error:
        refuse(f"{settings or '--set'}: {error.key}: {error.message}")
    except ValidationError as error:
        refuse(f"{plan}: {describe_errors(error)}")


def _set_key(values: dict[str, Any], item: str) -> None:
    key, sign, text = item.partition("=")
    if not sign:
        refuse(f"--set {item}: write it as key=value")
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            refuse(f"--set {item}: {part} is not a group of keys")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        refuse(f"--set {item}: not YAML: {str(error).splitlines()[0]}")


def known_run(runs: Runs, run_id: str | None) -> str:
    """The id of a run that is there, by default of the newest; ends the command if none is."""
    wanted = runs.latest() if run_id is None else run_id
    if wanted is None:
        refuse(f"no run in {runs.home}")
    if not re.fullmatch(NAME_PATTERN, wanted) or not runs.folder(wanted).is_dir():
        refuse(f"no run {wanted!r} in {runs.home}")
    return wanted
