"""Old runs: which may go, how large they are, and their removal.

Only what is certainly a finished run's folder goes. What is open, the latest, in use or named to be
kept stays, and so does anything that is no run's.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from loadfleet_agent.contract.base import NAME_PATTERN, Frozen
from loadfleet_agent.contract.run_folder import STATUS
from pydantic import Field

from ..fleet.record import LATEST, RUN_RECORD, read_record
from ..fleet.settings import InventoryError
from ..hosts.inventory import FleetHost
from ..hosts.links import Answer, Links
from ..scaling.record import STUDY_RECORD, is_finished, is_study, read_study

AGE = re.compile(r"^(\d{1,5})([hdw])$")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}
MARK = "loadfleet-run"
LIMIT_S = 300.0

# Name, whether it has ended, age and size of each run of a host, and which is in use or the newest.
# The lock's text is the run's that holds it; nobody holds it: 0.
LIST = """
home={home}
cd "$home/runs" 2>/dev/null || exit 0
held=
if [ -e "$home/run.lock" ]; then
  timeout 10 flock -n -s -E 99 "$home/run.lock" true 2>/dev/null ||
    held=$(head -c 4096 "$home/run.lock")
fi
echo "{mark} held $held"
echo "{mark} newest $(ls -1t */{status} 2>/dev/null | head -n 1)"
for run in */; do
  run=${{run%/}}
  [ -d "$run" ] && [ ! -L "$run" ] || continue
  [ -f "$run/{status}" ] || continue
  ended=$(grep -c '"state": *"\\(done\\|failed\\|stopped\\)"' "$run/{status}")
  echo "{mark} run $ended $(stat -c %Y "$run/{status}") $(du -s -k "$run" | cut -f 1) $run"
done
""".strip()


class OldRun(Frozen):
    """A run's folder that may go."""

    run_id: str
    host: str | None = Field(default=None, description="None: on the controller, under results/")
    age_days: float
    size_bytes: int
    path: str


def parse_age(text: str) -> timedelta:
    """30d, 12h, 4w. Raises ValueError with a line that says how to write it."""
    if not (found := AGE.match(text)):
        raise ValueError(f"{text!r}: write it as 30d, 12h or 4w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def old_results(
    results: Path, older_than: timedelta, keep: Collection[str], now: datetime
) -> list[OldRun]:
    """Finished runs and studies on the controller, the oldest first."""
    latest = (results / LATEST).resolve().name if (results / LATEST).is_symlink() else None
    found = []
    for path in sorted(results.iterdir()) if results.is_dir() else []:
        if path.is_symlink():
            continue
        try:
            created, finished = _state(path)
        except InventoryError:
            continue  # of another version, or no run's: not ours to judge
        age = now - created
        if not finished or path.name in keep or path.name == latest or age < older_than:
            continue
        size = sum(item.lstat().st_size for item in path.rglob("*") if not item.is_dir())
        found.append(
            OldRun(
                run_id=path.name,
                age_days=age.total_seconds() / 86400,
                size_bytes=size,
                path=str(path),
            )
        )
    return sorted(found, key=lambda run: (-run.age_days, run.run_id))


def _state(folder: Path) -> tuple[datetime, bool]:
    """When a run, or a study of several, was made, and whether it is finished.

    Raises InventoryError if the folder is neither's.
    """
    if is_study(folder):
        study = read_study(folder)
        return study.created_utc, all(is_finished(folder, run) for run in study.runs)
    record = read_record(folder)
    return record.created_utc, record.closed


def open_runs(results: Path) -> set[str]:
    """Ids of runs that are not finished on some host, and of all runs of a study that is not."""
    found = set()
    for path in results.iterdir() if results.is_dir() else []:
        try:
            if not _state(path)[1]:
                found.add(path.name)
                found |= {run.run_id for run in read_study(path).runs} if is_study(path) else set()
        except InventoryError:
            continue
    return found


def old_host_runs(
    links: Links, older_than: timedelta, keep: Collection[str], now: datetime
) -> tuple[list[OldRun], list[str]]:
    """Ended runs on the hosts, and a line for each host that gave no answer.

    A host's newest run, and one that its agent works on, are never among them.
    """
    answers = links.ask(
        lambda host: LIST.format(home=shlex.quote(host.home), mark=MARK, status=STATUS),
        become=True,
        limit_s=LIMIT_S,
    )
    found, failures = [], []
    for answer in answers:
        if answer.code != 0:
            why = answer.failure or f"ended with {answer.code}: {answer.stderr.strip()[-200:]}"
            failures.append(f"{answer.host.name}: {why}")
            continue
        found += _read_host(answer, older_than, keep, now)
    return found, failures


def _read_host(
    answer: Answer, older_than: timedelta, keep: Collection[str], now: datetime
) -> list[OldRun]:
    untouchable, told = set(keep), []
    for line in answer.stdout.splitlines():
        if not line.startswith(f"{MARK} "):
            continue
        kind, _, rest = line.removeprefix(f"{MARK} ").partition(" ")
        if kind == "newest":
            untouchable.add(rest.partition("/")[0])
        elif kind == "held" and rest:
            untouchable.add(_holder(rest))
        elif kind == "run":
            told.append(rest.split(" ", 3))
    found = []
    for words in told:
        if len(words) != 4 or not all(re.fullmatch(r"\d{1,15}", word) for word in words[:3]):
            continue
        ended, written, kibibytes, name = *map(int, words[:3]), words[3]
        if not ended or name in untouchable or not re.match(NAME_PATTERN, str(name)):
            continue
        age = now.timestamp() - written
        if age >= older_than.total_seconds():
            found.append(
                OldRun(
                    run_id=str(name),
                    host=answer.host.name,
                    age_days=age / 86400,
                    size_bytes=kibibytes << 10,
                    path=f"{answer.host.home}/runs/{name}",
                )
            )
    return found


def _holder(text: str) -> str:
    try:
        return str(json.loads(text).get("run_id", ""))
    except (ValueError, AttributeError):
        return ""


def remove_results(runs: Collection[OldRun]) -> list[str]:
    """A line for each that could not be removed whole.

    Its record goes first: a folder that is half removed is no run any more, and never read as one.
    """
    failures = []
    for run in runs:
        folder = Path(run.path)
        try:
            for record in (RUN_RECORD, STUDY_RECORD):
                (folder / record).unlink(missing_ok=True)
            shutil.rmtree(folder)
        except OSError as error:
            failures.append(f"{error.filename}: {error.strerror}")
    return failures


def remove_host_runs(links: Links, runs: Collection[OldRun]) -> list[str]:
    """The same on the hosts; nothing is removed while an agent works on the run."""
    by_host: dict[str, list[OldRun]] = {}
    for run in runs:
        if run.host is not None:
            by_host.setdefault(run.host, []).append(run)

    def command(host: FleetHost) -> str:
        paths = [shlex.quote(run.path) for run in by_host.get(host.name, [])]
        return f"rm -rf -- {' '.join(paths)}" if paths else "true"

    return [
        f"{answer.host.name}: {answer.failure or answer.stderr.strip()[-200:]}"
        for answer in links.ask(command, become=True, limit_s=LIMIT_S)
        if answer.code != 0
    ]
