"""The way to a host over SSH (fabric), along the route that OpenSSH itself would take."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .inventory import SshOptions
from .link import CHUNK, Deadline, LinkError, Piece, end_process
from .ssh_route import KnownKey, Route, RouteError, find_route

if TYPE_CHECKING:
    from fabric import Connection


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
        deadline = Deadline(limit_s)  # connecting has a limit of its own
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
            end_process(self._proxy)
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


def _read_channel(channel: Any, deadline: Deadline) -> Iterator[Piece]:
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
