"""Commands on many hosts at once, over SSH (fabric) or on this machine.

One host's failure never stops another's; whatever a host sends is bounded and untrusted: see
``text.terminal`` before it is shown. Usage::

    for answer in ask_hosts(fleet.hosts, "cat /proc/uptime"): ...

    with Links(fleet.hosts) as links:      # connections stay open between questions
        answers = links.ask(lambda host: f"cat {host.home}/run.lock", become=True)
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from .inventory import Become, FleetHost, SshOptions
from .ssh_route import KnownKey, Route, RouteError, find_route

if TYPE_CHECKING:
    from fabric import Connection

PARALLEL = 32
"""Hosts at a time: enough for a rack, few enough for the controller's processors."""
LIMIT_S = 20.0
MOST_BYTES = 1 << 20
CHUNK = 1 << 16
STEP_S = 0.5

Result = TypeVar("Result")

Command = str | Callable[[FleetHost], str]
"""For /bin/sh on the host."""


class LinkError(RuntimeError):
    """A host is not reached, or the link broke; one line that says what and what to do."""


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


@dataclass(frozen=True)
class Piece:
    """Bytes that a command wrote, or (the last piece) its exit code."""

    data: bytes = b""
    is_error: bool = False
    code: int | None = None


class Link(Protocol):
    """A way to one host."""

    def stream(self, command: str, given: bytes, limit_s: float | None) -> Iterator[Piece]:
        """Runs a command; what it writes, as it comes, then its exit code.

        ``given``: its standard input. Raises LinkError, also after ``limit_s`` seconds.
        """

    def close(self) -> None: ...


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


class LocalLink:
    """This machine, for hosts with ``ansible_connection: local``."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()

    def stream(self, command: str, given: bytes, limit_s: float | None) -> Iterator[Piece]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for this program alone
        )
        self._processes.add(process)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(given)
                process.stdin.close()
            yield from _read_process(process, _Deadline(limit_s))
        finally:
            self._processes.discard(process)
            _end(process)

    def close(self) -> None:
        for process in list(self._processes):
            _end(process)


class SshLink:
    """A host over SSH."""

    def __init__(self, options: SshOptions) -> None:
        self._options = options
        self._connection: Connection | None = None
        self._proxy: subprocess.Popen[bytes] | None = None

    def stream(self, command: str, given: bytes, limit_s: float | None) -> Iterator[Piece]:
        from paramiko import SSHException

        if self._connection is None:
            self._connect()
        assert self._connection is not None
        deadline = _Deadline(limit_s)  # connecting has a limit of its own
        try:
            channel = self._connection.create_session()
            channel.exec_command(command)
            if given:
                channel.sendall(given)
            channel.shutdown_write()
            yield from _read_channel(channel, deadline)
        except (SSHException, OSError, EOFError) as error:
            raise LinkError(f"the link was lost: {_text(error)}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._proxy is not None:
            _end(self._proxy)
        self._connection, self._proxy = None, None

    def _connect(self) -> None:
        """Raises LinkError."""
        from paramiko import (
            AuthenticationException,
            BadHostKeyException,
            PasswordRequiredException,
            SSHException,
        )

        try:
            route = find_route(self._options)
        except RouteError as error:
            raise LinkError(str(error)) from error
        where = f"{route.user}@{route.address}:{route.port}"
        self._connection = self._prepare(route)
        try:
            self._connection.open()
            self._connection.transport.set_keepalive(15)
        except BadHostKeyException as error:
            self._fail(
                f"{where}: its host key is not the known one: if the host was set up anew, remove "
                f"the old key with ssh-keygen -R '{_known_name(route)}'",
                error,
            )
        except PasswordRequiredException as error:
            self._fail(f"{where}: the key needs its passphrase: add it with ssh-add", error)
        except AuthenticationException as error:
            keys = ", ".join(route.key_files) or "none"
            self._fail(
                f"{where}: the login was refused (keys tried: an agent's, {keys}): see "
                "ansible_user and ansible_ssh_private_key_file",
                error,
            )
        except (SSHException, OSError, EOFError, ValueError) as error:
            said = self._proxy_said()
            self._fail(f"{where}: {said or _text(error)}", error)

    def _prepare(self, route: Route) -> Connection:
        from fabric import Config, Connection

        password = self._options.password
        options: dict[str, Any] = {
            "key_filename": list(route.key_files),
            "password": None if password is None else password.get_secret_value(),
            "allow_agent": not route.only_these_keys,
            "look_for_keys": False,
            "banner_timeout": self._options.timeout_s,
            "auth_timeout": self._options.timeout_s,
        }
        if route.proxy is not None:
            self._proxy, options["sock"] = _start_proxy(route.proxy, self._options.timeout_s)
        # lazy: nothing of fabric's own files; ssh_config was read by ssh itself.
        connection = Connection(
            route.address,
            user=route.user,
            port=route.port,
            config=Config(lazy=True),
            connect_timeout=self._options.timeout_s,
            connect_kwargs=options,
        )
        if route.check_host_key:
            connection.client.set_missing_host_key_policy(_Unknown(route))
            keys = connection.client.get_host_keys()
            for key in route.known_keys:
                if (public := _public_key(key)) is not None:
                    keys.add(_known_name(route), public.get_name(), public)
        else:
            connection.client.set_missing_host_key_policy(_Any())
        return connection

    def _fail(self, text: str, error: BaseException) -> None:
        self.close()
        raise LinkError(text) from error

    def _proxy_said(self) -> str:
        """The last line of the proxy's complaint, once it has ended."""
        if self._proxy is None or self._proxy.stderr is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._proxy.wait(timeout=2)
        if self._proxy.poll() is None:
            return ""
        os.set_blocking(self._proxy.stderr.fileno(), False)
        lines = (self._proxy.stderr.read(CHUNK) or b"").decode(errors="replace").splitlines()
        return f"jump host: {lines[-1].strip()}" if lines else ""


class _Unknown:
    """paramiko's policy for a host without a known key: never take it, say what to do."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def missing_host_key(self, _client: Any, name: str, _key: Any) -> None:
        from paramiko import SSHException

        raise SSHException(
            f"its host key is not known: log in once with ssh, or put it into "
            f"{self._route.known_hosts[0] if self._route.known_hosts else 'known_hosts'} ({name})"
        )


class _Any:
    """Takes any key, where the inventory (or ssh_config) says not to check; keeps none."""

    def missing_host_key(self, _client: Any, _name: str, _key: Any) -> None:
        return None


@dataclass
class _Deadline:
    limit_s: float | None

    def __post_init__(self) -> None:
        self._until = None if self.limit_s is None else time.monotonic() + self.limit_s

    def step_s(self) -> float:
        """How long to wait now. Raises LinkError when the time is over."""
        if self._until is None:
            return STEP_S
        left = self._until - time.monotonic()
        if left <= 0:
            raise LinkError(f"no end of the command in {self.limit_s:.0f} s")
        return min(left, STEP_S)


def _read_channel(channel: Any, deadline: _Deadline) -> Iterator[Piece]:
    try:
        while True:
            if channel.recv_ready():
                yield Piece(channel.recv(CHUNK))
            elif channel.recv_stderr_ready():
                yield Piece(channel.recv_stderr(CHUNK), is_error=True)
            elif channel.closed or (channel.eof_received and channel.exit_status_ready()):
                break
            else:
                # It is readable with output, with errors, and when the channel ends.
                select.select([channel], [], [], deadline.step_s())
            deadline.step_s()
        if not channel.exit_status_ready() or (code := channel.recv_exit_status()) < 0:
            raise LinkError("the link was lost")
        yield Piece(code=code)
    finally:
        channel.close()


def _read_process(process: subprocess.Popen[bytes], deadline: _Deadline) -> Iterator[Piece]:
    assert process.stdout is not None
    assert process.stderr is not None
    streams: list[IO[bytes]] = [process.stdout, process.stderr]
    while streams:
        ready, _, _ = select.select(streams, [], [], deadline.step_s())
        for stream in ready:
            if data := os.read(stream.fileno(), CHUNK):
                yield Piece(data, is_error=stream is process.stderr)
            else:
                streams.remove(stream)
        deadline.step_s()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            yield Piece(code=process.wait(timeout=deadline.step_s()))
            return


def _start_proxy(command: str, timeout_s: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The proxy's process, and a socket that leads through it.

    Not paramiko's ProxyCommand, which spins when the process ends.
    """
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=its.fileno(),
            stdout=its.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    ours.settimeout(timeout_s)
    return process, ours


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it and all that it started; it has a session of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _public_key(known: KnownKey) -> Any:
    """paramiko's, or None for a kind that it does not know."""
    import base64
    import binascii

    from paramiko import SSHException
    from paramiko.pkey import PKey

    try:
        return PKey.from_type_string(known.kind, base64.b64decode(known.text))
    except (SSHException, ValueError, binascii.Error, KeyError):
        return None


def _known_name(route: Route) -> str:
    return route.address if route.port == 22 else f"[{route.address}]:{route.port}"


def _text(error: BaseException) -> str:
    """On one line; paramiko's own for a refused connection lists every address."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
