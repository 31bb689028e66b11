"""Files take their places together or not at all, and what was there is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from loadfleet_aggregator.init.model import Choice, HostGroup, SeenGpu, SeenHost
from loadfleet_aggregator.init.targets import parse_targets
from loadfleet_aggregator.init.write import (
    HOSTS_FILE,
    SETTINGS_FILE,
    Connection,
    render_hosts,
    render_settings,
    write_files,
)

FILES = {HOSTS_FILE: "hosts\n", SETTINGS_FILE: "settings\n"}


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestFiles:
    def test_are_written_and_nothing_else(self, tmp_path: Path) -> None:
        assert write_files(tmp_path / "new", FILES) == []
        assert texts(tmp_path / "new") == FILES

    def test_that_were_there_are_kept_and_earlier_copies_too(self, tmp_path: Path) -> None:
        for number in (1, 2, 3):
            write_files(tmp_path, {HOSTS_FILE: str(number)})
        assert texts(tmp_path) == {"hosts.yml": "3", "hosts.yml.bak": "1", "hosts.yml.2.bak": "2"}

    def test_that_cannot_all_be_written_are_put_back(self, tmp_path: Path) -> None:
        (tmp_path / HOSTS_FILE).write_text("mine")
        (tmp_path / SETTINGS_FILE / "in-the-way").mkdir(parents=True)
        with pytest.raises(OSError, match="in-the-way|directory"):
            write_files(tmp_path, FILES)
        assert texts(tmp_path) == {HOSTS_FILE: "mine"}


class TestHosts:
    def test_words_of_a_host_are_comments_that_end_with_their_line(self) -> None:
        evil = "gone\nall: {hosts: {evil: {}}}\x1b[2J"
        seen = [SeenHost(name="gpu-01", scanned=True, reached=False, reason=evil)]
        text = render_hosts(parse_targets(["10.0.0.1"]), Connection(), seen, ())
        tree = yaml.safe_load(text)
        assert list(tree["all"]["children"]["gpu_hosts"]["hosts"]) == ["gpu-01"]
        assert "evil" not in str(tree)
        assert "\x1b" not in text

    def test_connection_variables_are_the_fleets_or_the_hosts_own(self) -> None:
        targets = parse_targets(["a=10.0.0.1", "b=root@10.0.0.2:23", "localhost"], user="ops")
        connection = Connection(user="ops", key="/k", jump="ops@bastion")
        tree = yaml.safe_load(render_hosts(targets, connection, (), ()))["all"]
        hosts = tree["children"]["gpu_hosts"]["hosts"]
        assert hosts["a"] == {"ansible_host": "10.0.0.1"}
        assert hosts["b"] == {
            "ansible_host": "10.0.0.2", "ansible_port": 23, "ansible_user": "root",
        }  # fmt: skip
        assert tree["vars"] == {
            "ansible_user": "ops",
            "ansible_ssh_private_key_file": "/k",
            "ansible_ssh_common_args": "-o ProxyJump=ops@bastion",
            "ansible_become": True,
        }

    def test_several_kinds_are_groups_with_their_own_profile(self) -> None:
        gpu = SeenGpu(name="NVIDIA A30", memory_mib=24576, by_driver=True)
        seen = [SeenHost(name=name, scanned=True, reached=True, gpus=(gpu,)) for name in "ab"]
        groups = [
            HostGroup(
                name=f"{name}_hosts", kind=name, hosts=(name,),
                choice=Choice(profile=f"p-{name}", engine={"max_num_seqs": 9}, reason="a\nb: fits"),
            )
            for name in "ab"
        ]  # fmt: skip
        targets = parse_targets(["a=10.0.0.1", "b=10.0.0.2", "c=10.0.0.3"])
        text = render_hosts(targets, Connection(), seen, groups)
        usual = yaml.safe_load(text)["all"]["children"]["gpu_hosts"]
        assert list(usual["hosts"]) == ["c"]
        assert list(usual["children"]["a_hosts"]["hosts"]) == ["a"]
        assert usual["children"]["b_hosts"]["vars"] == {
            "loadfleet_profile": "p-b",
            "loadfleet_engine": {"max_num_seqs": 9},
        }
        assert "# 1 x NVIDIA A30, 24 GiB, no driver yet" in text


def test_settings_stand_after_their_reasons() -> None:
    text = render_settings({"a": {"b": "x: y"}, "c": 1}, {"a": ["why\nso"]})
    assert yaml.safe_load(text) == {"a": {"b": "x: y"}, "c": 1}
    assert "# why so\na: " in text
