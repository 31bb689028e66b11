"""Commands on hosts, with a real sshd and the real fabric."""

from __future__ import annotations

import getpass
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadfleet_aggregator.hosts.inventory import Become, FleetHost, SshOptions
from loadfleet_aggregator.hosts.link import LinkError
from loadfleet_aggregator.hosts.links import Links, ask_hosts
from pydantic import SecretStr
from waiting import wait_until

from ..sshd import Sshd, needs_sshd, start_sshd


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with start_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def ssh_host(sshd: Sshd, name: str = "there", extra: str = "", **changes: object) -> FleetHost:
    options = {
        "address": "127.0.0.1",
        "port": sshd.port,
        "user": sshd.user,
        "key_file": str(sshd.key),
        "last_arguments": f"-F {sshd.config} {extra}",
    }
    return FleetHost(name=name, connection="ssh", ssh=SshOptions.model_validate(options | changes))


HERE = FleetHost(name="here", connection="local")


def same_user(password: str | None = None) -> Become:
    return Become(user=getpass.getuser(), password=password and SecretStr(password))


class TestLocal:
    def test_gives_output_errors_and_exit_code(self) -> None:
        (answer,) = ask_hosts([HERE], "echo out; echo err >&2; exit 3")
        assert (answer.code, answer.stdout, answer.stderr, answer.failure) == (
            3,
            "out\n",
            "err\n",
            "",
        )

    def test_answers_come_in_the_order_of_the_hosts_and_one_failure_stops_nobody(self) -> None:
        hosts = [
            FleetHost(name=f"h{n}", connection="docker" if n == 3 else "local") for n in range(8)
        ]
        told: list[str] = []
        with Links(hosts, parallel=3) as links:
            answers = links.ask(
                lambda host: f"echo {host.name}", tell=lambda answer: told.append(answer.host.name)
            )
        assert [answer.host.name for answer in answers] == [host.name for host in hosts]
        assert [answer.stdout for answer in answers if answer.reached] == [
            f"h{n}\n" for n in range(8) if n != 3
        ]
        assert "docker" in answers[3].failure
        assert sorted(told) == [host.name for host in hosts]

    def test_no_more_hosts_at_a_time_than_asked_for(self, tmp_path: Path) -> None:
        hosts = [FleetHost(name=f"h{n}", connection="local") for n in range(6)]
        command = f"mkdir {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.2; rmdir {tmp_path}/$$"
        answers = ask_hosts(hosts, command, parallel=2)
        assert max(int(answer.stdout) for answer in answers) <= 2

    def test_a_command_without_an_end_is_ended_with_its_children(self, tmp_path: Path) -> None:
        marker = tmp_path / "pid"
        (answer,) = ask_hosts([HERE], f"sleep 600 & echo $! > {marker}; wait", limit_s=1)
        assert answer.code is None
        assert answer.failure == "no end of the command in 1 s"
        pid = int(marker.read_text())
        wait_until(lambda: not _is_alive(pid), "the end of the child")

    def test_output_without_an_end_is_cut_off(self) -> None:
        (answer,) = ask_hosts([HERE], "yes", most_bytes=10_000)
        assert answer.code is None
        assert "more than 10,000 bytes" in answer.failure

    def test_becomes_nobody_for_the_user_that_it_is_and_keeps_the_password(self) -> None:
        host = HERE.model_copy(update={"become": same_user("hidden")})
        (answer,) = ask_hosts([host], "id -un; cat", become=True)
        assert (answer.code, answer.stdout) == (0, f"{getpass.getuser()}\n")

    def test_refuses_another_way_than_sudo(self) -> None:
        host = HERE.model_copy(update={"become": Become(method="doas")})
        (answer,) = ask_hosts([host], "true", become=True)
        assert "doas" in answer.failure
        assert ask_hosts([host], "true")[0].code == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may be anyone")
    def test_sudo_gets_the_password_and_the_command_gets_none_of_it(self, tmp_path: Path) -> None:
        """A stand-in for sudo that tells what it was given."""
        sudo = tmp_path / "sudo"
        sudo.write_text('#!/bin/sh\necho "$@"; echo "given: $(cat)"\n')
        sudo.chmod(0o755)
        become = Become(user="somebody-else", password=SecretStr("hidden"))
        host = HERE.model_copy(update={"become": become})
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{tmp_path}:{before}"
        try:
            (answer,) = ask_hosts([host], "true", become=True)
        finally:
            os.environ["PATH"] = before
        assert answer.stdout.startswith("-H -S -p  -u somebody-else -- /bin/sh -c true")
        assert "given: hidden" in answer.stdout


@needs_sshd
class TestSsh:
    def test_gives_output_errors_and_exit_code(self, sshd: Sshd) -> None:
        (answer,) = ask_hosts([ssh_host(sshd)], "echo out; echo err >&2; exit 3")
        assert (answer.code, answer.stdout, answer.stderr, answer.failure) == (
            3,
            "out\n",
            "err\n",
            "",
        )

    def test_a_megabyte_comes_whole(self, sshd: Sshd) -> None:
        (answer,) = ask_hosts([ssh_host(sshd)], "head -c 1000000 /dev/zero | tr '\\0' x")
        assert answer.stdout == "x" * 1_000_000

    def test_keeps_its_connection_and_opens_a_new_one_after_it_broke(self, sshd: Sshd) -> None:
        host = ssh_host(sshd)
        before = sshd.log.count("Accepted publickey")
        with Links([host]) as links:
            assert [links.ask("echo x")[0].code for _ in range(3)] == [0, 0, 0]
            assert sshd.log.count("Accepted publickey") == before + 1
            broken = links.ask("kill -9 $PPID")[0]
            assert broken.code is None
            assert "link was lost" in broken.failure
            assert links.ask("echo x")[0].code == 0

    def test_a_command_without_an_end_is_given_up(self, sshd: Sshd) -> None:
        with Links([ssh_host(sshd)]) as links:
            assert links.ask("sleep 600", limit_s=1)[0].failure == "no end of the command in 1 s"
            assert links.ask("echo x", limit_s=60)[0].stdout == "x\n"

    def test_closing_ends_a_stream_that_another_thread_reads(self, sshd: Sshd) -> None:
        host = ssh_host(sshd)
        links = Links([host])
        seen, ended = threading.Event(), threading.Event()

        def follow() -> None:
            try:
                for _ in links.stream(host, "echo x; sleep 600"):
                    seen.set()
            except LinkError:
                ended.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert seen.wait(60)
        links.close()
        assert ended.wait(60)
        thread.join(60)

    def test_goes_through_a_jump_host(self, sshd: Sshd) -> None:
        config = sshd.folder / "jump_config"
        config.write_text(
            f"Host jump\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n"
            f"  IdentityFile {sshd.key}\n\nHost *\n{sshd.config.read_text()}"
        )
        before = sshd.log.count("Accepted publickey")
        host = ssh_host(sshd, last_arguments=f"-F {config} -J jump")
        (answer,) = ask_hosts([host], "echo $SSH_CONNECTION")
        assert answer.code == 0, answer.failure
        assert sshd.log.count("Accepted publickey") == before + 2

    def test_a_jump_host_that_refuses_is_named_as_the_cause(self, sshd: Sshd) -> None:
        host = ssh_host(sshd, extra="-o ProxyCommand='echo no way in >&2; exit 1'")
        (answer,) = ask_hosts([host], "true")
        assert answer.failure.endswith("jump host: no way in")

    def test_reads_ssh_config_with_include(self, sshd: Sshd, tmp_path: Path) -> None:
        inner = tmp_path / "inner"
        inner.write_text(
            f"Host alias\n HostName 127.0.0.1\n Port {sshd.port}\n User {sshd.user}\n"
            f" IdentityFile {sshd.key}\n"
        )
        outer = tmp_path / "outer"
        outer.write_text(f"Include {inner}\n{sshd.config.read_text()}")
        host = ssh_host(sshd, last_arguments=f"-F {outer}", address="alias", port=None, user=None,
                        key_file=None)  # fmt: skip
        assert ask_hosts([host], "true")[0].code == 0


@needs_sshd
class TestHostKeys:
    @staticmethod
    def options(known: str, tmp_path: Path) -> dict[str, str]:
        path = tmp_path / "known_hosts"
        path.write_text(known)
        return {"extra": f"-o UserKnownHostsFile={path}"}

    def test_an_unknown_host_is_refused_and_nothing_is_written(
        self, sshd: Sshd, tmp_path: Path
    ) -> None:
        host = ssh_host(sshd, **self.options("", tmp_path))
        (answer,) = ask_hosts([host], "true")
        assert answer.code is None
        assert "host key is not known" in answer.failure
        assert (tmp_path / "known_hosts").read_text() == ""

    def test_a_changed_key_is_refused(self, sshd: Sshd, tmp_path: Path) -> None:
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        kind, text, *_ = Path(f"{other}.pub").read_text().split()
        known = f"[127.0.0.1]:{sshd.port} {kind} {text}\n"
        (answer,) = ask_hosts([ssh_host(sshd, **self.options(known, tmp_path))], "true")
        assert answer.code is None
        assert "not the known one" in answer.failure
        assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in answer.failure

    def test_a_revoked_key_is_refused(self, sshd: Sshd, tmp_path: Path) -> None:
        kind, text, *_ = sshd.host_key.split()
        name = f"[127.0.0.1]:{sshd.port}"
        known = f"{name} {kind} {text}\n@revoked {name} {kind} {text}\n"
        (answer,) = ask_hosts([ssh_host(sshd, **self.options(known, tmp_path))], "true")
        assert answer.code is None

    def test_a_hashed_name_and_a_pattern_are_known(self, sshd: Sshd, tmp_path: Path) -> None:
        kind, text, *_ = sshd.host_key.split()
        hashed = self.options(f"[127.0.0.1]:{sshd.port} {kind} {text}\n", tmp_path)
        path = tmp_path / "known_hosts"
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
        assert "127.0.0.1" not in path.read_text()
        assert ask_hosts([ssh_host(sshd, **hashed)], "true")[0].code == 0
        path.write_text(f"[127.0.0.*]:{sshd.port} {kind} {text}\n")
        assert ask_hosts([ssh_host(sshd, **hashed)], "true")[0].code == 0

    def test_is_not_checked_where_the_inventory_says_so(self, sshd: Sshd, tmp_path: Path) -> None:
        options = self.options("", tmp_path)
        host = ssh_host(sshd, check_host_key=False, **options)
        assert ask_hosts([host], "true")[0].code == 0
        assert (tmp_path / "known_hosts").read_text() == ""


@needs_sshd
class TestLogin:
    def test_a_key_that_is_not_taken(self, sshd: Sshd, tmp_path: Path) -> None:
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
        (answer,) = ask_hosts([ssh_host(sshd, key_file=str(other))], "true")
        assert "the login was refused" in answer.failure
        assert str(other) in answer.failure

    def test_a_key_with_a_passphrase(self, sshd: Sshd, tmp_path: Path) -> None:
        other = tmp_path / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "word", "-f", other], check=True)
        (answer,) = ask_hosts([ssh_host(sshd, key_file=str(other))], "true")
        assert "ssh-add" in answer.failure

    def test_a_port_that_nobody_listens_on(self, sshd: Sshd) -> None:
        (answer,) = ask_hosts([ssh_host(sshd, port=1)], "true")
        assert answer.code is None
        assert len(answer.failure.splitlines()) == 1
        assert "127.0.0.1:1" in answer.failure


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
