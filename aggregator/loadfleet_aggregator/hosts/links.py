"""Commands on many hosts at once, over SSH (fabric) or on this machine.

One host's failure never stops another's; whatever a host sends is bounded and untrusted: see
``text.terminal`` before it is shown. Usage::

    for answer in ask_hosts(fleet.hosts, "cat /proc/uptime"): ...

    with Links(fleet.hosts) as links:      # connections stay open between questions
        answers = links.ask(lambda host: f"cat {host.home}/run.lock", become=True)
"""

from __future__ import annotations

import queue
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from .inventory import Become, FleetHost
from .link import Link, LinkError, LocalLink, Piece
from .ssh_link import SshLink

PARALLEL = 32
"""Hosts at a time: enough for a rack, few enough for the controller's processors."""
LIMIT_S = 20.0
MOST_BYTES = 1 << 20

Result = TypeVar("Result")

Command = str | Callable[[FleetHost], str]
"""For /bin/sh on the host."""


@dataclass(frozen=True)
class Answer:
    """What came of a command on one host."""

    host: FleetHost
    code: int | None
    """Exit code; None: there is none, see ``failure``."""
    stdout: str
    stderr: str
    failure: str
    """Why there is no exit code, on one line; or ''."""

    @property
    def reached(self) -> bool:
        return self.code is not None


def open_link(host: FleetHost) -> Link:
    """Connects with the first command. Raises LinkError for a connection that is not known."""
    if host.connection == "local":
        return LocalLink()
    if host.ssh is not None:
        return SshLink(host.ssh)
    raise LinkError(
        f"ansible_connection {host.connection}: only ssh and local are known here; use Ansible"
    )


class Links:
    """Connections to hosts, opened when they are first needed and kept until ``close``."""

    def __init__(self, hosts: Sequence[FleetHost], parallel: int = PARALLEL) -> None:
        self.hosts = tuple(hosts)
        self._workers = _Workers(max(1, min(parallel, len(self.hosts))))
        self._links: dict[str, Link] = {}
        self._locks = {host.name: threading.Lock() for host in hosts}

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every connection, also one that a command is running on."""
        self._workers.close()
        for link in list(self._links.values()):
            link.close()

    def submit(self, work: Callable[[FleetHost], Result], host: FleetHost) -> Future[Result]:
        """Does something with one host, when one of the threads for hosts is free."""
        return self._workers.submit(lambda: work(host))

    def ask(
        self,
        command: Command,
        *,
        become: bool = False,
        limit_s: float = LIMIT_S,
        most_bytes: int = MOST_BYTES,
        tell: Callable[[Answer], None] = lambda _: None,
    ) -> list[Answer]:
        """The same on all hosts, so many at a time; answers in the order of the hosts.

        ``become``: as the inventory says for the host. ``tell`` gets each answer as it comes,
        from threads, one at a time.
        """
        one = threading.Lock()

        def work(host: FleetHost) -> Answer:
            answer = self.ask_one(
                host, command, become=become, limit_s=limit_s, most_bytes=most_bytes
            )
            with one:
                tell(answer)
            return answer

        return [future.result() for future in [self.submit(work, host) for host in self.hosts]]

    def ask_one(
        self,
        host: FleetHost,
        command: Command,
        *,
        become: bool = False,
        limit_s: float = LIMIT_S,
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """On one host, in this thread. Never raises for what the host does."""
        written: dict[bool, list[bytes]] = {False: [], True: []}
        left, code, failure = most_bytes, None, ""
        try:
            for piece in self.stream(host, command, become=become, limit_s=limit_s):
                code = piece.code
                left -= len(piece.data)
                if left < 0:
                    raise LinkError(f"it sent more than {most_bytes:,} bytes")
                written[piece.is_error].append(piece.data)
        except LinkError as error:
            code, failure = None, str(error)
        text = {
            is_error: b"".join(parts).decode(errors="replace")
            for is_error, parts in written.items()
        }
        return Answer(host, code, text[False], text[True], failure)

    def stream(
        self,
        host: FleetHost,
        command: Command,
        *,
        become: bool = False,
        limit_s: float | None = None,
    ) -> Iterator[Piece]:
        """What one host's command writes, as it comes. Raises LinkError.

        After an error the next command opens a new connection.
        """
        text = command if isinstance(command, str) else command(host)
        wrapped, given = as_user(host.become if become else None, text)
        with self._locks[host.name]:
            link = self._links.get(host.name)
            if link is None:
                link = self._links[host.name] = open_link(host)
            whole = False
            try:
                for piece in link.stream(wrapped, given, limit_s):
                    whole = piece.code is not None
                    yield piece
            finally:
                if not whole:
                    self._links.pop(host.name, None)
                    link.close()


class _Workers:
    """Threads that nobody waits for at the end of the program.

    Those of concurrent.futures are joined then, and one may be in a connect of many seconds.
    """

    def __init__(self, count: int) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        self._count = count
        for number in range(count):
            threading.Thread(target=self._run, name=f"host-{number}", daemon=True).start()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()

        def do() -> None:
            if self._closed or not future.set_running_or_notify_cancel():
                future.cancel()
                return
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._work.put(do)
        return future

    def close(self) -> None:
        """What has not begun is left undone."""
        self._closed = True
        for _ in range(self._count):
            self._work.put(None)

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()


def ask_hosts(
    hosts: Sequence[FleetHost], command: Command, *, parallel: int = PARALLEL, **options: Any
) -> list[Answer]:
    """``Links.ask`` over connections of its own."""
    with Links(hosts, parallel) as links:
        return links.ask(command, **options)


def as_user(become: Become | None, command: str) -> tuple[str, bytes]:
    """A command line for any login shell, and what it must be given on its standard input.

    Raises LinkError for another way than sudo.
    """
    plain = shlex.join(["/bin/sh", "-c", command])
    if become is None:
        return plain, b""
    if become.method != "sudo":
        raise LinkError(f"ansible_become_method {become.method}: only sudo is known here")
    user = shlex.quote(become.user)
    if become.password is None:
        sudo, given = f"sudo -H -n -u {user}", b""
    else:
        sudo, given = f"sudo -H -S -p '' -u {user}", become.password.get_secret_value().encode()
        given += b"\n"
    script = (
        f'if [ "$(id -un)" = {user} ]; then exec {plain} </dev/null; fi; exec {sudo} -- {plain}'
    )
    return shlex.join(["/bin/sh", "-c", script]), given
