"""Whether the hosts of a run can start together, said before one is touched."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from ..text.listing import some
from .settings import InventoryError, PlannedHost


def require_together(planned: Sequence[PlannedHost], forks: int) -> bool:
    """Whether they do. Raises InventoryError if some of them could wait for ever.

    ``forks``: processes of Ansible, of which each host needs one for as long as it runs.
    """
    waiting = [host for host in planned if host.plan.sync_start]
    if not waiting:
        return False
    if len(waiting) < len(planned):
        alone = some([host.name for host in planned if not host.plan.sync_start])
        raise InventoryError(
            f"loadfleet_sync_start: true on some hosts and not on {alone}: set it for all alike"
        )
    if len(waiting) > forks:
        raise InventoryError(
            f"loadfleet_sync_start: {len(waiting)} hosts start together and Ansible watches only "
            f"{forks} at a time: add --forks {len(waiting)}, or take fewer hosts with --limit"
        )
    _require_one_order(waiting)
    for host in waiting:
        most = host.plan.inactivity.barrier_s
        if host.fleet.sync_wait_s >= most:
            raise InventoryError(
                f"loadfleet_sync_wait_s: {host.fleet.sync_wait_s:g} s on host {host.name}: make it "
                f"less than inactivity.barrier_s, {most:g} s, after which the host gives up"
            )
    return True


def _require_one_order(waiting: Sequence[PlannedHost]) -> None:
    """Two hosts with two scenarios in two orders would wait for each other."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for host in waiting:
        for before, after in pairwise(host.plan.barriers):
            order.add(after, before)
    try:
        order.prepare()
    except CycleError as error:
        raise InventoryError(
            "loadfleet_scenarios: with loadfleet_sync_start all hosts must have them in one order, "
            f"and they have {', '.join(dict.fromkeys(error.args[1]))} in several"
        ) from error
