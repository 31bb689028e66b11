"""Hosts as Ansible itself resolves them, with real ansible-playbook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from loadfleet_aggregator.fleet.settings import InventoryError
from loadfleet_aggregator.hosts.inventory import (
    Selection,
    SshOptions,
    read_fleet,
    ssh_command,
)

ROOT = Path(__file__).parents[4]


def write_inventory(folder: Path, hosts: dict[str, dict[str, Any]], **variables: Any) -> Path:
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables}}, sort_keys=False))
    return path


def read(inventory: Path, **selection: Any) -> Any:
    return read_fleet(Selection(inventory=(str(inventory),), **selection), ROOT)


class TestReading:
    def test_resolves_templates_and_keeps_the_order(self, tmp_path: Path) -> None:
        inventory = write_inventory(
            tmp_path,
            {"b": {}, "a": {"loadfleet_home": "/data/a"}},
            ansible_connection="local",
            loadfleet_home="{{ inventory_dir }}/homes/{{ inventory_hostname }}",
            loadfleet_results_dir="/tmp/somewhere",
        )
        fleet = read(inventory)
        assert [(host.name, host.connection) for host in fleet.hosts] == [
            ("b", "local"),
            ("a", "local"),
        ]
        assert [host.home for host in fleet.hosts] == [f"{tmp_path}/homes/b", "/data/a"]
        assert fleet.results == Path("/tmp/somewhere")
        assert fleet.reports == ROOT / "reports"

    def test_takes_all_that_leads_over_ssh(self, tmp_path: Path) -> None:
        inventory = write_inventory(
            tmp_path,
            {
                "one": {
                    "ansible_host": "10.0.0.1",
                    "ansible_port": 2222,
                    "ansible_user": "{{ 'op' ~ 's' }}",
                    "ansible_ssh_private_key_file": "~/key",
                    "ansible_ssh_common_args": "-J jump@10.0.0.9:2200",
                    "ansible_password": "let me in",
                    "ansible_host_key_checking": False,
                    "ansible_become": True,
                    "ansible_become_user": "bench",
                    "ansible_become_password": "more",
                },
                "two": {},
            },
        )
        one, two = read(inventory).hosts
        assert one.ssh.model_dump() | {"password": one.ssh.password.get_secret_value()} == {
            "address": "10.0.0.1",
            "user": "ops",
            "port": 2222,
            "key_file": str(Path("~/key").expanduser()),
            "password": "let me in",
            # ansible.cfg's own, first.
            "first_arguments": "-o ControlMaster=auto -o ControlPersist=120s "
            "-o ServerAliveInterval=5 -o ServerAliveCountMax=3",
            "last_arguments": "-J jump@10.0.0.9:2200",
            "check_host_key": False,
            "timeout_s": 15.0,
        }
        assert (one.become.method, one.become.user) == ("sudo", "bench")
        assert one.become.password.get_secret_value() == "more"
        assert "let me in" not in repr(one)
        assert (two.ssh.address, two.ssh.user, two.ssh.check_host_key) == ("two", None, True)
        assert two.become is None
        assert two.home == "/var/lib/loadfleet"

    def test_limit_extra_vars_and_loadfleet_hosts_are_ansibles(self, tmp_path: Path) -> None:
        path = tmp_path / "hosts.yml"
        groups = {"gpu": {"hosts": {"a": {}, "b": {}, "c": {}}}, "other": {"hosts": {"d": {}}}}
        path.write_text(
            yaml.safe_dump({"all": {"children": groups, "vars": {"ansible_connection": "local"}}})
        )
        names = [host.name for host in read(path, limit="gpu:!b").hosts]
        assert names == ["a", "c"]
        fleet = read(path, extra_vars=("loadfleet_hosts=other", "loadfleet_home=/x"))
        assert [(host.name, host.home) for host in fleet.hosts] == [("d", "/x")]

    def test_opens_a_vault_with_ansibles_own_means(self, tmp_path: Path) -> None:
        word = tmp_path / "word"
        word.write_text("secret word\n")
        (tmp_path / "inventory").mkdir()
        inventory = write_inventory(tmp_path / "inventory", {"a": {}}, ansible_user="ops")
        vault = tmp_path / "inventory" / "host_vars" / "a.yml"
        vault.parent.mkdir()
        vault.write_text("ansible_become: true\nansible_become_password: hidden\n")
        command = [Path(sys.executable).parent / "ansible-vault", "encrypt", vault]
        subprocess.run([*command, "--vault-password-file", word], check=True, capture_output=True)
        (host,) = read(inventory, vault_password_file=str(word)).hosts
        assert host.become.password.get_secret_value() == "hidden"
        with pytest.raises(InventoryError, match="vault"):
            read(inventory)

    def test_names_another_connection(self, tmp_path: Path) -> None:
        (host,) = read(write_inventory(tmp_path, {"a": {"ansible_connection": "docker"}})).hosts
        assert (host.connection, host.ssh) == ("docker", None)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "limit", "said"),
        [
            ("all: [", None, "hosts.yml"),
            ("all: {hosts: {a: {}}}", "nowhere", "nowhere|no hosts"),
            ("all: {hosts: {a: {ansible_port: ssh}}}", None, "port"),
            ("all: {hosts: {a: {ansible_user: '{{ no_such }}'}}}", None, "no_such"),
        ],
        ids=["no inventory", "no host", "wrong value", "no variable"],
    )
    def test_of_a_wrong_inventory_are_one_line(
        self, tmp_path: Path, text: str, limit: str | None, said: str
    ) -> None:
        path = tmp_path / "hosts.yml"
        path.write_text(text)
        with pytest.raises(InventoryError, match=said) as caught:
            read(path, limit=limit)
        assert len(str(caught.value).splitlines()) == 1

    def test_of_a_folder_that_is_not_the_projects(self, tmp_path: Path) -> None:
        with pytest.raises(InventoryError, match="--project"):
            read_fleet(Selection(), tmp_path)


def test_the_ssh_command_is_in_ansibles_order() -> None:
    options = SshOptions(
        address="10.0.0.1",
        user="ops",
        port=22,
        key_file="/k",
        first_arguments="-o A=1",
        last_arguments="-o B='2 3'",
        check_host_key=False,
    )
    assert ssh_command(options) == [
        "ssh", "-o", "A=1", "-o", "StrictHostKeyChecking=no", "-o", "Port=22",
        "-o", 'IdentityFile="/k"', "-o", 'User="ops"', "-o", "ConnectTimeout=10",
        "-o", "B=2 3", "--", "10.0.0.1",
    ]  # fmt: skip
