"""Hosts of a run whose folder on the controller is not whole."""

from __future__ import annotations

from pathlib import Path

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.run_folder import MANIFEST

from ..bundle import read_bundle
from ..fleet.record import HOSTS, newest_run, read_record
from ..fleet.settings import InventoryError


class MissingHost(Frozen):
    """A host, and what is wrong with what was collected from it."""

    host: str
    why: str


def chosen_run(results: Path, run_id: str | None) -> str:
    """The run that is meant: the newest where none is named. Raises InventoryError."""
    if run_id is not None:
        read_record(results / run_id)
        return run_id
    newest = newest_run(results)
    if newest is None:
        raise InventoryError(f"{results}: no run there: start one with loadfleet run")
    return newest.run_id


def missing_hosts(folder: Path) -> list[MissingHost]:
    """Those that took part and whose files are not all here, or not as the host sealed them.

    A host that failed and sent its whole folder is not among them. Raises InventoryError.
    """
    record = read_record(folder)
    found = []
    for name in record.selected:
        plan_hash = record.hosts[name].plan_hash
        assert plan_hash is not None  # of a selected host
        if why := _why(folder / HOSTS / name, record.run_id, name, plan_hash):
            found.append(MissingHost(host=name, why=why))
    return found


def _why(folder: Path, run_id: str, host: str, plan_hash: str) -> str:
    if not folder.is_dir():
        return "nothing was collected"
    if not (folder / MANIFEST).is_file():
        return "it was not at its end when it was collected"
    bundle = read_bundle(folder, run_id=run_id, host=host, plan_hash=plan_hash)
    return bundle.problems[0] if bundle.problems else ""
