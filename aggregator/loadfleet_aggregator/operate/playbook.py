"""A playbook through ansible-runner: its events as they come, its artifacts on disk.

``ansible-playbook`` stays what does the work; nothing here changes what it does. ansible-runner
would by itself switch host key checking off, store facts, and write the whole environment into a
file: each of these is undone below, so that ansible.cfg holds and no token reaches the disk.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.files import private_folder

from ..hosts.inventory import ansible_environment

Event = dict[str, Any]
"""Of ansible-runner: event, stdout, pid and, in event_data, host, task, role, res."""

CHECK_HOST_KEYS = "ANSIBLE_HOST_KEY_CHECKING"
ENVIRONMENT_FILE = "command"
"""An artifact of ansible-runner's, with the whole environment."""


class Playbook:
    """A playbook at work. ``start`` it, take its ``events``, ask for its end."""

    def __init__(
        self,
        project: Path,
        name: str,
        arguments: Sequence[str],
        artifacts: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``arguments``: as of ansible-playbook. ``artifacts``: a new folder for stdout, rc and
        job_events/; see ``place``."""
        self._project, self._name, self._arguments = project, name, list(arguments)
        self._environment = dict(environment or {})
        self.given = artifacts
        self._target: Path | None = None
        self._events: queue.Queue[Event] = queue.Queue()
        self._pid: int | None = None
        self._kill = threading.Event()
        self._thread = threading.Thread(target=self._run, name="playbook", daemon=True)
        self.returncode: int | None = None
        self.error = ""

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def events(self, wait_s: float) -> Iterator[Event]:
        """What has come since the last call; waits so long for the first."""
        with contextlib.suppress(queue.Empty):
            yield self._events.get(timeout=wait_s)
            while True:
                yield self._events.get_nowait()

    def interrupt(self) -> None:
        """As Ctrl-C does: the playbook ends in order, its hosts' agents go on."""
        if self._pid is None:
            self._kill.set()  # it has not begun: nothing is lost
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGINT)

    def kill(self) -> None:
        self._kill.set()

    def place(self, target: Path) -> None:
        """Says where the artifacts belong: a link for now, the folder itself after the end.

        Both this process and Ansible's write into it meanwhile. Once for all.
        """
        if self._target is None:
            private_folder(target.parent)
            target.symlink_to(self.given)
            self._target = target

    def finish(self) -> None:
        """After the end: the artifacts are whole and in their place."""
        self._thread.join()
        if self._target is not None and self._target.is_symlink():
            self._target.unlink()
            shutil.move(self.given, self._target)

    @property
    def artifacts(self) -> Path:
        """The folder where they are to be found, at any time."""
        return self._target or self.given

    @property
    def output(self) -> str:
        """All that it printed."""
        try:
            return (self.artifacts / "stdout").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _run(self) -> None:
        from ansible_runner.interface import init_runner

        try:
            folder = self.given
            folder.mkdir(parents=True, mode=0o700)
            environment = ansible_environment(self._project) | self._environment
            own = [environment.get("ANSIBLE_CALLBACK_PLUGINS"), f"{self._project}/plugins/callback"]
            environment["ANSIBLE_CALLBACK_PLUGINS"] = ":".join(filter(None, own))
            runner = init_runner(
                private_data_dir=str(folder.parent),
                artifact_dir=str(folder.parent),
                ident=folder.name,
                project_dir=str(self._project),
                playbook=str(self._project / self._name),
                cmdline=shlex.join(self._arguments),
                envvars=environment,
                fact_cache_type="memory",
                settings={"pexpect_timeout": 1},
                suppress_env_files=True,
                quiet=True,
                event_handler=self._take,
                status_handler=self._tidy,
                cancel_callback=self._kill.is_set,
            )
            if CHECK_HOST_KEYS not in environment:
                runner.config.env.pop(CHECK_HOST_KEYS, None)
            # As ansible-playbook: paths on the command line are of the user's folder.
            runner.config.cwd = str(Path.cwd())
            runner.run()
            self.returncode = int(runner.rc)
        except Exception as error:  # of a thread: it would be lost
            self.error = f"ansible-runner: {type(error).__name__}: {error}"
            self.returncode = 1

    def _take(self, event: Event) -> bool:
        if self._pid is None and event.get("pid"):
            self._pid = int(event["pid"])
        self._events.put(event)
        return True

    def _tidy(self, status: Mapping[str, Any], **_: object) -> None:
        if status.get("status") == "running":  # it was written just before
            with contextlib.suppress(FileNotFoundError):
                (self.given / ENVIRONMENT_FILE).unlink()
