"""Watches a made-up host in a process of its own: python watcher.py FOLDER HOST SCRIPT.

SCRIPT is JSON: participants, wait_s, and steps, one after the other:
{"at": PHASE, "ahead": [...]} waits there until it is sent off, {"tell": [...]} only says what is
ahead, {"until": PATH} waits for a file, {"die": true} ends as a process that is killed.
What the host is told goes to standard output, a line each: phase and moment, or 'now'.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

from loadfleet_aggregator.fleet.clock import ClockReading
from loadfleet_aggregator.fleet.common_start import Rendezvous
from loadfleet_aggregator.fleet.send_off import SendOff


def main() -> None:
    folder, host, script = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    told: list[str] = []

    def go(phase: str, at: datetime | None) -> str:
        told.append(phase)
        print(phase, at.isoformat() if at else "now", flush=True)
        return ""

    rendezvous = Rendezvous(
        folder / "sync" / "attempt", host, script["participants"], script["wait_s"]
    )
    watch = SendOff(rendezvous, folder, host, go)
    clock = ClockReading(script.get("offset_s", 0.0), 0.01)
    for step in script["steps"]:
        if "until" in step:
            while not Path(step["until"]).exists():
                time.sleep(0.02)
        elif "die" in step:
            os.kill(os.getpid(), signal.SIGKILL)
        elif "tell" in step:
            watch.see({"barrier": None, "barriers_ahead": step["tell"]}, clock)
            (folder / f"{host}.told").touch()
        else:
            watch.see({"barrier": step["at"], "barriers_ahead": step["ahead"]}, clock)
            (folder / f"{host}.ready").touch()
            while step["at"] not in told:
                watch.pause(0.2, lambda: None)
    watch.see({"barrier": None, "barriers_ahead": []}, clock)
    watch.leave(script.get("ended", "done"))


if __name__ == "__main__":
    main()
