"""Reads the hosts of a run one after the other, or several at a time where there are many."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ..fleet.prices import Prices
from ..fleet.record import RunRecord
from .host import HostReading, HostTask, read_host

LEAST_HOSTS = 16
"""A smaller fleet is read sooner than processes are started for it."""
AT_ONCE = 4
"""Hosts handed to a process at a time."""


def read_hosts(
    folder: Path, record: RunRecord, groups: Mapping[str, str], prices: Prices
) -> Iterator[HostReading]:
    """Every host of the inventory, in the order of names. ``prices`` replace the record's."""
    tasks = [
        HostTask(
            folder=folder,
            run_id=record.run_id,
            created_utc=record.created_utc,
            name=name,
            record=host,
            group=groups.get(name),
            prices=host.prices.replaced_by(prices),
        )
        for name, host in sorted(record.hosts.items())
    ]
    processes = min(len(os.sched_getaffinity(0)), len(tasks) // (LEAST_HOSTS // 2))
    done = 0
    if processes > 1:
        try:
            for reading in _in_processes(tasks, processes):
                yield reading
                done += 1
        except (BrokenProcessPool, OSError):
            pass  # no process could be started, or one was ended: what is left is read here
    for task in tasks[done:]:
        yield read_host(task)


def _in_processes(tasks: list[HostTask], processes: int) -> Iterator[HostReading]:
    # Forked: they have all modules at once, and need no main module that can be imported.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(read_host, tasks, chunksize=AT_ONCE)
