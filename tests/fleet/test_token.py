"""The token is on the host for root alone, and nowhere else."""

from __future__ import annotations

from gpu_site import GPU_HOSTS, TOKEN, Site


def test_it_is_a_file_for_root_alone(provisioned: Site) -> None:
    for name in GPU_HOSTS:
        host = provisioned.machines[name]
        listed = host.run("stat", "--format=%a %U %n", "/etc/loadfleet", "/etc/loadfleet/hf_token")
        assert listed.stdout.splitlines() == [
            "700 root /etc/loadfleet",
            "600 root /etc/loadfleet/hf_token",
        ]
        assert host.read("/etc/loadfleet/hf_token") == TOKEN
        refused = host.ssh("cat", "/etc/loadfleet/hf_token", check=False)
        assert refused.returncode != 0


def test_it_is_in_no_output_of_ansible(provisioned: Site) -> None:
    host = provisioned.machines["gpu-1"]
    host.run("rm", "/etc/loadfleet/hf_token")  # so that it is written again, and shown by --diff
    played = provisioned.provision("-vvv", "--diff", "--tags", "hf_auth,caches")
    assert played.returncode == 0, played.output
    assert TOKEN not in played.output
    assert host.read("/etc/loadfleet/hf_token") == TOKEN
    assert TOKEN not in (provisioned.folder / "provisioned.txt").read_text()


def test_it_is_in_no_journal_process_or_file(provisioned: Site) -> None:
    for name in GPU_HOSTS:
        host = provisioned.machines[name]
        assert TOKEN not in host.run("journalctl", "--no-pager", timeout=300).stdout
        environments = host.run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline")
        assert TOKEN not in environments.stdout
        # Everywhere that we, Ansible, Docker and the login users write.
        found = host.run(
            "grep", "--recursive", "--files-with-matches", "--binary-files=text", TOKEN,
            "/etc", "/home", "/root", "/run/systemd", "/tmp", "/usr/local", "/var/lib/loadfleet",
            "/var/log", "/var/tmp", check=False, timeout=600,
        )  # fmt: skip
        assert found.stdout.split() == ["/etc/loadfleet/hf_token"]


def test_a_wrong_token_is_told_at_once_and_stored_nowhere(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    marker = "/var/lib/loadfleet/cache/hub/models--site--tiny-llama"
    host.run("mv", marker, "/root/model")  # the hub is asked only for what is not here
    try:
        played = provisioned.provision(
            "--tags", "hf_auth", hosts=("gpu-2",), hf_auth_token="hf_wrong"
        )
        assert played.returncode != 0
        assert played.lines("gpu-2: not ready: the token is wrong or expired", "huggingface.co")
        assert host.read("/etc/loadfleet/hf_token") == TOKEN
        assert "hf_wrong" not in played.output
    finally:
        host.run("mv", "/root/model", marker)


def test_a_gated_model_names_the_page_to_visit(provisioned: Site) -> None:
    assert provisioned.hub is not None
    host = provisioned.machines["gpu-2"]
    marker = "/var/lib/loadfleet/cache/hub/models--site--tiny-llama"
    host.run("mv", marker, "/root/model")
    provisioned.hub.tokens_without_access = ("hf_no_access",)
    try:
        played = provisioned.provision(
            "--tags", "hf_auth", hosts=("gpu-2",), hf_auth_token="hf_no_access"
        )
        assert played.returncode != 0
        assert played.lines("is gated", "accept its terms at", "/site/tiny-llama")
    finally:
        host.run("mv", "/root/model", marker)
