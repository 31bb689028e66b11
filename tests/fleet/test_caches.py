"""Where a model and a dataset come from."""

from __future__ import annotations

import hashlib
import json

from gpu_site import SHARED, Site
from mlcommons_server import MlcommonsServer

HUB = "/var/lib/loadfleet/cache/hub"
MODEL = f"{HUB}/models--site--tiny-llama"


def test_others_copy_from_the_mirror_host(provisioned: Site) -> None:
    assert provisioned.hub is not None
    host = provisioned.machines["gpu-2"]
    before = host.run("sh", "-c", f"cd {MODEL}/snapshots/* && sha256sum *").stdout
    host.run("rm", "-r", MODEL)
    asked = len(provisioned.hub.requests)
    played = provisioned.provision("--tags", "caches", caches_mirror_host="gpu-1")
    assert played.returncode == 0, played.output
    assert host.run("sh", "-c", f"cd {MODEL}/snapshots/* && sha256sum *").stdout == before
    assert len(provisioned.hub.requests) == asked
    for name in ("gpu-1", "gpu-2"):  # nothing is left open
        machine = provisioned.machines[name]
        assert machine.run("systemctl", "is-active", "loadfleet-mirror", check=False).returncode
        assert not machine.run("sh", "-c", "ls -d /run/loadfleet-mirror*", check=False).stdout


def test_a_damaged_model_is_fetched_again(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    host.run(
        "sh", "-c", f"truncate --size=1000 $(readlink -f {MODEL}/snapshots/*/model.safetensors)"
    )
    played = provisioned.provision("--tags", "caches", hosts=("gpu-2",))
    assert played.returncode == 0, played.output
    assert provisioned.hub is not None
    wanted = next(
        f for f in provisioned.hub.files("site/tiny-llama") if f.path.endswith("safetensors")
    )
    have = host.run("sh", "-c", f"sha256sum {MODEL}/snapshots/*/model.safetensors").stdout
    assert have.split()[0] == wanted.sha256


def test_a_branch_is_refused_as_a_revision(provisioned: Site) -> None:
    model = provisioned.variables["loadfleet_model"] | {"revision": "main"}
    played = provisioned.provision("--tags", "caches", hosts=("gpu-2",), loadfleet_model=model)
    assert played.returncode != 0
    assert played.lines("gpu-2: not ready: loadfleet_model.revision main is not a commit: pin one")


def test_one_host_downloads_into_a_folder_that_all_mount(provisioned: Site) -> None:
    assert provisioned.hub is not None
    before = provisioned.hub.sent("model.safetensors")
    model = provisioned.variables["loadfleet_model"] | {"cache": SHARED}
    played = provisioned.provision("--tags", "caches", loadfleet_model=model)
    assert played.returncode == 0, played.output
    wanted = next(f for f in provisioned.hub.files("site/tiny-llama") if f.is_lfs)
    assert provisioned.hub.sent("model.safetensors") - before == wanted.size
    for name in ("gpu-1", "gpu-2"):
        listed = provisioned.machines[name].run(
            "sh", "-c", f"sha256sum {SHARED}/models--*/snapshots/*/model.safetensors"
        )
        assert listed.stdout.split()[0] == wanted.sha256
    again = provisioned.provision("--tags", "caches", loadfleet_model=model)
    assert again.changed() == {"gpu-1": 0, "gpu-2": 0}, again.changed_tasks()


def test_the_dataset_is_fetched_with_the_record_of_its_origin(provisioned: Site) -> None:
    host = provisioned.machines["gpu-1"]
    content = b'[{"input": "a", "tok_input": [1], "output": "b"}]'
    files = {"llama3-1-8b-cnn-eval": ("cnn_eval.json", content)}
    with MlcommonsServer(files, provisioned.fleet.gateway) as server:
        dataset = {"source": "mlcommons", "endpoint": server.metadata}
        fetch = ("--tags", "caches")
        played = provisioned.provision(*fetch, hosts=("gpu-1",), caches_dataset=dataset)
        assert played.returncode == 0, played.output
        again = provisioned.provision(*fetch, hosts=("gpu-1",), caches_dataset=dataset)
        assert again.changed() == {"gpu-1": 0}, again.changed_tasks()
        assert len(server.file_gets) == 1
    folder = "/var/lib/loadfleet/datasets"
    assert host.read(f"{folder}/cnn_eval.json").encode() == content
    record = json.loads(host.read(f"{folder}/cnn_eval.json.origin.json"))
    assert record["md5"] == hashlib.md5(content).hexdigest()


def test_a_dataset_that_is_not_there_is_named(provisioned: Site) -> None:
    with MlcommonsServer({}, provisioned.fleet.gateway) as server:
        dataset = {"source": "mlcommons", "endpoint": server.metadata, "suite": "edge"}
        played = provisioned.provision("--tags", "caches", hosts=("gpu-1",), caches_dataset=dataset)
    assert played.returncode != 0
    assert played.lines("gpu-1: not ready:", "llama3-1-8b-sample-cnn-eval-5000")
