"""Whether the kernel has killed processes because memory ran out."""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many processes of this host were killed so since it booted, also for the limit of a
    cgroup; 0 where the kernel (before 4.13) does not tell."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
