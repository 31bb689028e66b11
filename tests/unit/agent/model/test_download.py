"""Bringing a model into the hub cache: fetched, resumed, verified, refused, copied."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_mirror import HubMirror
from huggingface_hub import HfApi, scan_cache_dir, snapshot_download
from loadfleet_agent.contract.model import HubModel
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.run_folder import file_sha256
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model import transfer
from loadfleet_agent.model.download import check_access, download_model, read_token
from loadfleet_agent.model.hub_cache import read_record, record_path, repository_folder
from loadfleet_agent.model.resolve import model_facts, resolve_model
from loadfleet_agent.model.transfer import ModelInCache, copy_model
from waiting import wait_until

from ..helpers import QUICK, Agent, snapshot

REPO = "meta-llama/Llama-3.1-8B-Instruct"
BIG = "example/big"
BIG_BYTES = 64 << 20
TOKEN = "hf_theTokenOfOneWhoHasAccess"
OTHER_TOKEN = "hf_theTokenOfOneWhoHasNone"
MODEL = {
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    "model.safetensors",
}
TEXTS = {"README.md", "LICENSE", "USE_POLICY.md"}
UNWANTED = {
    *("original/params.json", "original/consolidated.00.pth", "original/tokenizer.model"),
    *("pytorch_model.bin", "model.gguf", ".gitattributes", "onnx/model.safetensors"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """What the hub holds: the tiny model with all that Llama's repository has, and a big file."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(tiny_folder, root / REPO)
    for name in TEXTS | UNWANTED:
        path = root / REPO / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"this is {name}\n")
    (root / BIG).mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(tiny_folder / name, root / BIG)
    (root / BIG / "model.safetensors").write_bytes(os.urandom(BIG_BYTES))
    return root


@pytest.fixture
def mirror(models: Path) -> Iterator[HubMirror]:
    with HubMirror(models) as served:
        yield served


@pytest.fixture
def gated(models: Path) -> Iterator[HubMirror]:
    with HubMirror(models, token=TOKEN, tokens_without_access=[OTHER_TOKEN]) as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def agent(agent: Agent, tmp_path: Path) -> Agent:
    """With nothing of the user's own that huggingface_hub would take."""
    for name in list(agent.environment):
        if name.startswith(("HF_", "HUGGING")):
            del agent.environment[name]
    agent.environment["HF_HOME"] = str(tmp_path / "hf-home")
    return agent


def fetch(mirror: HubMirror, cache: Path, repo: str = REPO, **options: Any) -> ModelInCache:
    lines: list[str] = []
    return download_model(
        repo, mirror.commit(repo), cache, endpoint=mirror.url, tell=lines.append, **options
    )


def failure(work: Any, *arguments: Any, **options: Any) -> RunFailure:
    with pytest.raises(RunFailure) as caught:
        work(*arguments, **options)
    assert "\n" not in caught.value.message
    return caught.value


def flags(mirror: HubMirror, cache: Path, repo: str = REPO) -> list[str]:
    wanted = ["--repo", repo, "--revision", mirror.commit(repo), "--endpoint", mirror.url]
    return ["download", *wanted, "--cache", str(cache), "--json"]


def blob_of(found: ModelInCache, name: str) -> Path:
    return (Path(found.folder) / name).resolve()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# What is fetched.


def test_the_model_and_its_texts_are_fetched_and_nothing_else(
    mirror: HubMirror, models: Path, cache: Path
) -> None:
    found = fetch(mirror, cache)
    folder = Path(found.folder)
    assert bytes_of(folder) == {name: (models / REPO / name).read_bytes() for name in MODEL | TEXTS}
    assert {path.name for path in folder.iterdir()} == MODEL | TEXTS
    assert (found.how, found.repo, found.revision) == ("downloaded", REPO, mirror.commit(REPO))
    assert found.files == len(MODEL | TEXTS)
    assert found.bytes == sum(path.stat().st_size for path in folder.iterdir())
    for name in UNWANTED:
        assert mirror.sent(name) == 0


def test_the_cache_is_one_that_huggingface_hub_reads(mirror: HubMirror, cache: Path) -> None:
    found = fetch(mirror, cache)
    read = snapshot_download(REPO, revision=found.revision, cache_dir=cache, local_files_only=True)
    assert read == found.folder
    scanned = scan_cache_dir(cache)
    assert not scanned.warnings
    (repository,) = scanned.repos
    assert (repository.repo_id, repository.nb_files) == (REPO, found.files)
    # Its own download finds all of it there, by the names of the blobs.
    sent = {name: mirror.sent(name) for name in MODEL}
    shutil.rmtree(repository_folder(cache, REPO) / "snapshots")
    snapshot_download(
        REPO,
        revision=found.revision,
        cache_dir=cache,
        endpoint=mirror.url,
        token=False,
        allow_patterns=sorted(MODEL),
    )
    assert {name: mirror.sent(name) for name in MODEL} == sent
    assert bytes_of(Path(found.folder)).keys() == MODEL


def test_the_mirror_serves_the_client_of_the_hub(
    gated: HubMirror, models: Path, tmp_path: Path
) -> None:
    """The mirror of these tests is as good as the hub for snapshot_download itself."""
    folder = snapshot_download(REPO, endpoint=gated.url, token=TOKEN, local_dir=tmp_path / "out")
    for name in MODEL | TEXTS | UNWANTED:
        assert (Path(folder) / name).read_bytes() == (models / REPO / name).read_bytes()
    HfApi(endpoint=gated.url, token=TOKEN).auth_check(REPO)


def test_the_record_names_every_file_with_its_hash(mirror: HubMirror, cache: Path) -> None:
    found = fetch(mirror, cache)
    record = read_record(repository_folder(cache, REPO), found.revision)
    assert record is not None
    assert (record.repo, record.revision, record.endpoint) == (REPO, found.revision, mirror.url)
    assert {item.path: (item.size_bytes, item.sha256) for item in record.files} == {
        path.name: (path.stat().st_size, file_sha256(path)) for path in Path(found.folder).iterdir()
    }
    assert found.verified_sha256 == record.sha256


def test_the_digest_of_a_model_depends_on_its_bytes_alone(
    mirror: HubMirror, gated: HubMirror, tmp_path: Path
) -> None:
    one, other = fetch(mirror, tmp_path / "one"), fetch(gated, tmp_path / "other", token=TOKEN)
    assert one.verified_sha256 == other.verified_sha256
    assert one.verified_sha256 != fetch(mirror, tmp_path / "one", BIG).verified_sha256


@pytest.mark.parametrize("where", ["default", "cache"])
def test_a_fetched_model_is_prepared_without_a_network(
    mirror: HubMirror, agent: Agent, tmp_path: Path, tiny_model: ModelFacts, where: str
) -> None:
    commit = mirror.commit(REPO)
    cache = agent.home / "cache" / "hub" if where == "default" else tmp_path / "elsewhere"
    named = ["--cache", str(cache)] if where == "cache" else []
    asked = ["--repo", REPO, "--revision", commit, "--endpoint", mirror.url]
    done = agent("download", *asked, *named)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("downloaded: ")
    mirror.__exit__()
    agent.environment["HF_HUB_OFFLINE"] = "1"
    model = {"source": "hub", "repo": REPO, "revision": commit}
    model |= {"cache": str(cache)} if where == "cache" else {}
    assert (
        resolve_model(HubModel.model_validate(model), agent.home)[0].parent.parent.parent == cache
    )
    done = agent("prepare", *agent.settings("x", QUICK | {"model": model})[:2], "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    facts = json.loads(done.stdout)["model"]
    assert facts["weights_sha256"] == tiny_model.weights_sha256
    assert facts["path"].endswith(f"snapshots/{commit}")


def test_a_model_that_is_here_is_not_asked_for(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    found = fetch(mirror, cache)
    before = snapshot(cache)
    asked = len(mirror.requests)
    done = agent(*flags(mirror, cache))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found.model_dump() | {"how": "present"}
    assert done.stderr == ""
    assert len(mirror.requests) == asked
    assert snapshot(cache) == before


@pytest.mark.parametrize("gone", ["blob", "link", "size"])
def test_only_what_is_missing_is_fetched(mirror: HubMirror, cache: Path, gone: str) -> None:
    found = fetch(mirror, cache)
    sent = {name: mirror.sent(name) for name in MODEL}
    blob = blob_of(found, "model.safetensors")
    if gone == "blob":
        blob.unlink()
    elif gone == "link":
        (Path(found.folder) / "model.safetensors").unlink()
    else:
        blob.write_bytes(blob.read_bytes()[:-1])
    again = fetch(mirror, cache)
    assert again == found
    grown = {name for name in MODEL if mirror.sent(name) > sent[name]}
    assert grown == (set() if gone == "link" else {"model.safetensors"})
    assert fetch(mirror, cache).how == "present"


def test_a_snapshot_that_cannot_be_linked_is_no_model(mirror: HubMirror, cache: Path) -> None:
    folder = repository_folder(cache, REPO) / "snapshots" / mirror.commit(REPO)
    (folder / "tokenizer.json").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        fetch(mirror, cache)
    assert not (folder / "config.json").exists()
    (folder / "tokenizer.json").rmdir()
    assert fetch(mirror, cache).how == "downloaded"


def test_equal_files_are_one_blob(tmp_path: Path, tiny_folder: Path, cache: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tiny_folder, root / REPO)
    shutil.copy(root / REPO / "config.json", root / REPO / "same.json")
    with HubMirror(root) as mirror:
        found = fetch(mirror, cache)
    assert blob_of(found, "same.json") == blob_of(found, "config.json")
    assert bytes_of(Path(found.folder)) == bytes_of(root / REPO)


# Interrupted.


def partial_size(cache: Path, repo: str) -> int:
    """Bytes of the largest unfinished file; files that end meanwhile are none."""
    sizes = [0]
    for path in (repository_folder(cache, repo) / "blobs").glob("*.incomplete"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def test_a_killed_download_goes_on_in_the_middle_of_a_file(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    mirror.hold_at = 40 << 20
    process = agent.popen(*flags(mirror, cache, BIG))
    wait_until(lambda: partial_size(cache, BIG) >= 20 << 20, "20 MiB written")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    here = partial_size(cache, BIG)
    assert 20 << 20 <= here < BIG_BYTES
    source = HubModel(repo=BIG, revision=mirror.commit(BIG), cache=str(cache))
    assert failure(resolve_model, source, cache).code is FailureCode.MODEL_MISSING
    mirror.hold_at = None
    done = agent(*flags(mirror, cache, BIG))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["how"] == "downloaded"
    ranges = {item.byte_range for item in mirror.requests if item.server == "storage"}
    assert ranges == {None, f"bytes={here}-"}
    assert mirror.sent("model.safetensors") < 1.5 * BIG_BYTES
    folder = Path(json.loads(done.stdout)["folder"])
    assert file_sha256(folder / "model.safetensors") == file_sha256(
        mirror.root / BIG / "model.safetensors"
    )
    assert partial_size(cache, BIG) == 0


def test_an_interrupted_download_ends_at_once_without_a_traceback(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    """Also while it waits for a server that sends nothing any more."""
    mirror.hold_at = 25 << 20
    process = agent.popen(*flags(mirror, cache, BIG))
    wait_until(lambda: partial_size(cache, BIG) == 20 << 20, "two pieces of 10 MiB written")
    wait_until(lambda: mirror.sent("model.safetensors") == 25 << 20, "all is sent")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    assert partial_size(cache, BIG) == 20 << 20


def test_a_connection_that_is_cut_is_taken_up_again(mirror: HubMirror, cache: Path) -> None:
    """The library's own retry writes into the same unfinished file."""
    mirror.hold_at = 30 << 20
    result: list[ModelInCache] = []
    thread = threading.Thread(target=lambda: result.append(fetch(mirror, cache, BIG)))
    thread.start()
    wait_until(lambda: partial_size(cache, BIG) >= 20 << 20, "20 MiB written")
    mirror.cut()
    mirror.hold_at = None
    thread.join()
    assert blob_of(result[0], "model.safetensors").stat().st_size == BIG_BYTES
    assert mirror.sent("model.safetensors") < 1.5 * BIG_BYTES


def test_a_server_without_ranges_sends_the_file_anew(mirror: HubMirror, cache: Path) -> None:
    file = next(item for item in mirror.files(REPO) if item.path == "model.safetensors")
    partial = repository_folder(cache, REPO) / "blobs" / f"{file.etag}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(1000))
    mirror.ignore_ranges = True
    found = fetch(mirror, cache)
    assert blob_of(found, "model.safetensors").read_bytes() == file.source.read_bytes()
    asked = {item.byte_range for item in mirror.requests if item.server == "storage"}
    assert asked == {"bytes=1000-"}


def test_a_second_download_waits_for_the_first(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    mirror.hold_at = 40 << 20
    first = agent.popen(*flags(mirror, cache, BIG))
    wait_until(lambda: partial_size(cache, BIG) > 0, "the first writes")
    second = agent.popen(*flags(mirror, cache, BIG))
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    mirror.hold_at = None
    answers = [json.loads(process.communicate()[0])["how"] for process in (first, second)]
    assert answers == ["downloaded", "present"]
    assert mirror.sent("model.safetensors") == BIG_BYTES


def test_progress_is_told_with_rate_and_time_left(
    mirror: HubMirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TELL_EVERY_S", 0.2)
    mirror.bytes_per_s = 32 << 20
    lines: list[str] = []
    commit = mirror.commit(BIG)
    download_model(BIG, commit, cache, endpoint=mirror.url, tell=lines.append)
    assert lines[0] == "fetching 3 files, 0.07 GB"
    line = re.compile(r"(\d) of 3 files, (\d\.\d\d) of 0\.07 GB, (\d+) MB/s, (\d+ s left|waiting)")
    told = [line.fullmatch(text) for text in lines[1:]]
    assert all(told), lines
    assert any(item and int(item[3]) > 0 and item[4] != "waiting" for item in told), lines
    amounts = [float(item[2]) for item in told if item]
    assert amounts == sorted(amounts)


# Verified.


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_bytes_that_differ_from_the_hash_are_refused_and_removed(
    mirror: HubMirror, cache: Path, name: str
) -> None:
    mirror.corrupt = {name}
    error = failure(fetch, mirror, cache)
    assert error.code is FailureCode.MODEL_CORRUPT
    assert name in error.message
    want = next(item.etag for item in mirror.files(REPO) if item.path == name)
    assert want in error.message
    blobs = repository_folder(cache, REPO) / "blobs"
    assert not list(blobs.glob(f"{want}*"))
    assert not record_path(repository_folder(cache, REPO), mirror.commit(REPO)).exists()
    source = HubModel(repo=REPO, revision=mirror.commit(REPO), cache=str(cache))
    assert failure(resolve_model, source, cache).code is FailureCode.MODEL_MISSING
    mirror.corrupt = set()
    assert fetch(mirror, cache).how == "downloaded"


@pytest.mark.parametrize("here", [0, 1000, -1], ids=["none", "some", "all-that-comes"])
def test_a_file_that_ends_too_early_is_refused(mirror: HubMirror, cache: Path, here: int) -> None:
    file = next(item for item in mirror.files(REPO) if item.path == "model.safetensors")
    partial = repository_folder(cache, REPO) / "blobs" / f"{file.etag}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(file.source.read_bytes()[:here])
    mirror.short = {"model.safetensors"}
    error = failure(fetch, mirror, cache)
    assert error.code is FailureCode.MODEL_CORRUPT
    assert str(file.size) in error.message
    assert not partial.exists()
    mirror.short = set()
    assert fetch(mirror, cache).how == "downloaded"


@pytest.mark.parametrize("more", [0, 100], ids=["same-size", "longer"])
def test_an_unfinished_file_with_other_bytes_does_not_stay(
    mirror: HubMirror, cache: Path, more: int
) -> None:
    file = next(item for item in mirror.files(REPO) if item.path == "model.safetensors")
    partial = repository_folder(cache, REPO) / "blobs" / f"{file.etag}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(file.size + more))
    if not more:
        assert failure(fetch, mirror, cache).code is FailureCode.MODEL_CORRUPT
    found = fetch(mirror, cache)
    assert blob_of(found, "model.safetensors").read_bytes() == file.source.read_bytes()


def test_a_blob_of_someone_else_is_verified_too(mirror: HubMirror, cache: Path) -> None:
    file = next(item for item in mirror.files(REPO) if item.path == "model.safetensors")
    blob = repository_folder(cache, REPO) / "blobs" / file.etag
    blob.parent.mkdir(parents=True)
    blob.write_bytes(bytes(file.size))
    assert failure(fetch, mirror, cache).code is FailureCode.MODEL_CORRUPT
    assert not blob.exists()
    assert fetch(mirror, cache).how == "downloaded"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_rehash_finds_what_sizes_do_not_show(mirror: HubMirror, cache: Path, agent: Agent) -> None:
    found = fetch(mirror, cache)
    done = agent(*flags(mirror, cache), "--rehash")
    assert done.returncode == 0
    assert re.search(r"hashed 0\.00 GB at \d+ MB/s: all as recorded", done.stderr)
    blob = blob_of(found, "model.safetensors")
    flip(blob)
    assert json.loads(agent(*flags(mirror, cache)).stdout)["how"] == "present"
    asked = len(mirror.requests)
    done = agent(*flags(mirror, cache), "--rehash")
    assert done.returncode == 1
    error = json.loads(done.stdout)["failure"]
    assert error["code"] == "model-corrupt"
    assert "model.safetensors" in error["message"]
    assert not blob.exists()
    assert len(mirror.requests) == asked
    assert json.loads(agent(*flags(mirror, cache)).stdout)["how"] == "downloaded"
    assert agent(*flags(mirror, cache), "--rehash").returncode == 0


@pytest.mark.parametrize("content", ["", "{}", "[]", None])
def test_a_record_that_is_none_is_written_anew(
    mirror: HubMirror, cache: Path, content: str | None
) -> None:
    found = fetch(mirror, cache)
    path = record_path(repository_folder(cache, REPO), found.revision)
    if content is None:
        content = path.read_text().replace(found.revision, "1" * 40)
    path.write_text(content)
    sent = mirror.sent("model.safetensors")
    assert fetch(mirror, cache).how == "downloaded"
    assert mirror.sent("model.safetensors") == sent
    assert fetch(mirror, cache) == found.model_copy(update={"how": "present"})


# Refused.


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, ["no token is given", f"https://huggingface.co/{REPO}"]),
        ("hf_wrong", ["does not take the token"]),
        (OTHER_TOKEN, ["has no access", "accept its terms", f"https://huggingface.co/{REPO}"]),
    ],
)
def test_a_gated_model_says_what_is_missing(
    gated: HubMirror, cache: Path, agent: Agent, tmp_path: Path, token: str | None, words: list[str]
) -> None:
    given = []
    if token:
        (tmp_path / "token").write_text(token + "\n")
        given = ["--token-file", str(tmp_path / "token")]
    for more in ([], ["--check-access"]):
        done = agent(*flags(gated, cache), *given, *more)
        assert done.returncode == 1
        error = json.loads(done.stdout)["failure"]
        assert error["code"] == "hub-access"
        for word in words:
            assert word in error["message"]
        assert "settings/tokens" in error["hint"]
        assert token is None or token not in done.stdout + done.stderr
    done = agent(
        *[flag for flag in flags(gated, cache) if flag != "--json"], *given, "--check-access"
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("loadfleet-agent: ")
    assert "[hub-access]" in done.stderr


@pytest.mark.parametrize("way", ["file", "credential"])
def test_a_token_opens_a_gated_model_and_is_left_nowhere(
    gated: HubMirror, cache: Path, agent: Agent, tmp_path: Path, way: str
) -> None:
    secret = tmp_path / "credentials" / "hf_token"
    secret.parent.mkdir()
    secret.write_text(TOKEN + "\n")
    given = ["--token-file", str(secret)] if way == "file" else []
    if way == "credential":
        agent.environment["CREDENTIALS_DIRECTORY"] = str(secret.parent)
    agent.environment |= {"HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug"}
    checked = agent(*flags(gated, cache), *given, "--check-access")
    assert json.loads(checked.stdout) == {"repo": REPO, "revision": gated.commit(REPO)}
    assert not cache.exists()
    done = agent(*flags(gated, cache), *given)
    assert done.returncode == 0, done.stderr
    for text in (checked.stdout, checked.stderr, done.stdout, done.stderr):
        assert TOKEN not in text
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != secret:
            assert TOKEN.encode() not in path.read_bytes(), path
    assert {item.authorization for item in gated.requests if item.server == "hub"} == {True}
    assert {item.authorization for item in gated.requests if item.server == "storage"} == {False}


def test_a_token_that_was_not_given_is_not_taken(
    gated: HubMirror, cache: Path, agent: Agent, tmp_path: Path
) -> None:
    agent.environment |= {"HF_TOKEN": TOKEN, "HUGGING_FACE_HUB_TOKEN": TOKEN}
    (tmp_path / "hf-home").mkdir()
    (tmp_path / "hf-home" / "token").write_text(TOKEN)
    assert agent(*flags(gated, cache)).returncode == 1
    assert not any(item.authorization for item in gated.requests)


def test_nothing_is_asked_or_written_besides_the_model(
    mirror: HubMirror, cache: Path, agent: Agent, tmp_path: Path
) -> None:
    """huggingface_hub asks what to call itself, and keeps a cache of the answer."""
    agent.environment["HF_ENDPOINT"] = mirror.url
    without = [flag for flag in flags(mirror, cache) if flag not in ("--endpoint", mirror.url)]
    assert agent(*without).returncode == 0
    prefixes = (f"/api/models/{REPO}/revision/", f"/{REPO}/resolve/", f"/{REPO}/")
    assert all(item.path.startswith(prefixes) for item in mirror.requests)
    assert not (tmp_path / "hf-home").exists()


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"hf_a\nhf_b", b"hf_\xc3\xa4", b"\0"]
)
def test_a_file_without_a_token_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    error = failure(read_token, path)
    assert error.code is FailureCode.HUB_ACCESS
    assert str(path) in error.message
    words = content.decode("latin1").split()
    assert not any(word in error.message.replace(str(path), "") for word in words)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = failure(read_token, tmp_path / "none")
    assert (error.code, str(tmp_path / "none") in error.message) == (FailureCode.HUB_ACCESS, True)


def test_without_a_credential_there_is_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_token(None) is None
    (tmp_path / "hf_token").write_text("hf_it")
    assert read_token(None) == "hf_it"
    (tmp_path / "other").write_text("hf_other")
    assert read_token(tmp_path / "other") == "hf_other"


def test_a_branch_is_refused_with_the_commit_it_is(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    asked = ["--repo", REPO, "--revision", "main", "--endpoint", mirror.url]
    done = agent("download", *asked, "--cache", str(cache))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert mirror.commit(REPO) in done.stderr
    assert not cache.exists()
    assert check_access(REPO, "main", mirror.url, None) == mirror.commit(REPO)


def test_what_is_not_on_the_hub_is_named(mirror: HubMirror, models: Path, cache: Path) -> None:
    def ask(repo: str, revision: str, token: str | None = None) -> RunFailure:
        return failure(
            *(download_model, repo, revision, cache),
            endpoint=mirror.url,
            token=token,
            tell=lambda _: None,
        )

    error = ask(REPO, "1" * 40)
    assert (error.code, "1" * 40 in error.message) == (FailureCode.MODEL_MISSING, True)
    error = ask("nobody/nothing", "1" * 40)
    assert (error.code, "nobody/nothing" in error.message) == (FailureCode.HUB_ACCESS, True)
    error = ask("bad--name/x", "1" * 40)
    assert (error.code, "bad--name/x" in error.message) == (FailureCode.BAD_PLAN, True)
    (models / "example" / "texts").mkdir()
    (models / "example" / "texts" / "config.json").write_text("{}")
    error = ask("example/texts", mirror.commit("example/texts"))
    assert (error.code, "tokenizer.json" in error.message) == (FailureCode.MODEL_MISSING, True)
    assert not cache.exists()


@contextlib.contextmanager
def server(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Answers everything alike; ``{authorization}`` in a header is what it was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            sent = self.headers.get("Authorization", "")
            for key, value in (headers or {}).items():
                self.send_header(key, value.replace("{authorization}", sent))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, b"<html>Please log in to the guest network</html>", "does not answer as expected"),
        (200, b"[]", "does not answer as expected"),
        (200, b'{"sha": 5}', "does not answer as expected"),
        (500, b"", "answers 500"),
        (429, b"", "answers 429"),
        (407, b"", "answers 407"),
    ],
)
def test_what_is_no_hub_is_told_so(status: int, body: bytes, word: str) -> None:
    with server(status, body) as url:
        error = failure(check_access, REPO, "1" * 40, url, None)
    assert (error.code, word in error.message) == (FailureCode.HUB_UNREACHABLE, True), error.message
    assert url in error.message


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_server_that_repeats_the_token_does_not_make_it_shown(
    agent: Agent, tmp_path: Path, status: int
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    said = "you sent " + "." * 270 + "{authorization}"  # longer than what is shown of it
    with server(status, b"", {"X-Error-Message": said}) as url:
        asked = ["--repo", REPO, "--revision", "1" * 40, "--endpoint", url]
        done = agent("download", *asked, "--token-file", str(tmp_path / "token"))
    assert done.returncode == 1
    assert TOKEN[:8] not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_files_outside_of_the_cache_are_never_written(tmp_path: Path) -> None:
    """The agent downloads as root, and a mirror may be anyone's."""
    names = ["../../../../escaped.json", "/tmp/escaped.json", "a/../../b.json", "..json"]
    good = [{"rfilename": name, "size": 2, "blobId": "0" * 40} for name in ("config.json",)]
    for name in [*names, "a\\b.json", "a\0.json"]:
        siblings = [*good, {"rfilename": name, "size": 2, "blobId": "0" * 40}]
        listing = {"id": REPO, "sha": "1" * 40, "siblings": siblings}
        with server(200, json.dumps(listing).encode()) as url:
            error = failure(
                *(download_model, REPO, "1" * 40, tmp_path / "a" / "b" / "cache"),
                endpoint=url,
                tell=lambda _: None,
            )
        assert error.code in (FailureCode.MODEL_MISSING, FailureCode.HUB_UNREACHABLE)
        assert not list(tmp_path.rglob("*.json"))
    for blob in ("../../../x", "", None, "0" * 39):
        siblings = [{"rfilename": "config.json", "size": 2, "blobId": blob}]
        listing = {"id": REPO, "sha": "1" * 40, "siblings": siblings}
        with server(200, json.dumps(listing).encode()) as url:
            error = failure(check_access, REPO, "1" * 40, url, None)
        assert error.code is FailureCode.HUB_UNREACHABLE


def test_a_hub_that_is_not_there_is_named(
    agent: Agent, cache: Path, mirror: HubMirror, models: Path
) -> None:
    with HubMirror(models) as closed:
        url = closed.url
    done = agent("download", "--repo", REPO, "--revision", "1" * 40, "--endpoint", url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{url} cannot be reached" in done.stderr
    assert "[hub-unreachable]" in done.stderr
    agent.environment["http_proxy"] = url
    done = agent(*flags(mirror, cache))
    assert json.loads(done.stdout)["failure"]["code"] == "hub-unreachable"
    del agent.environment["http_proxy"]
    agent.environment["HF_HUB_OFFLINE"] = "1"
    done = agent(*flags(mirror, cache))
    assert "HF_HUB_OFFLINE is set" in json.loads(done.stdout)["failure"]["message"]
    assert not mirror.requests


@pytest.mark.parametrize(
    "endpoint", ["", "huggingface.co", "ftp://x", "http://", "http://x:y", "https://[x"]
)
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    error = failure(check_access, REPO, "main", endpoint, None)
    assert error.code is FailureCode.BAD_PLAN


@pytest.mark.parametrize("address", ["https://user:{}@mirror", "ftp://{}@mirror", "https://{}@["])
def test_an_address_with_a_password_is_refused_and_not_shown(address: str) -> None:
    error = failure(check_access, REPO, "main", address.format(TOKEN), None)
    assert error.code is FailureCode.BAD_PLAN
    assert TOKEN not in error.message


@pytest.mark.parametrize("repo", ["llama", "a/b/c", "a b/c", "../x/y"])
def test_a_repository_that_is_none_is_refused(agent: Agent, repo: str) -> None:
    done = agent("download", "--repo", repo, "--revision", "1" * 40)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 64 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_named_before(mirror: HubMirror, small_disk: Path) -> None:
    error = failure(fetch, mirror, small_disk, BIG)
    assert error.code is FailureCode.NO_SPACE
    assert str(small_disk) in error.message
    assert "0.07 GB are to come" in error.message
    assert "0.07 GB are free" in error.message
    assert mirror.sent("model.safetensors") == 0


def test_a_disk_that_becomes_full_is_named(mirror: HubMirror, small_disk: Path) -> None:
    """Something else takes the space in the meantime; what has come is kept."""
    mirror.hold_at = 20 << 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "FREE_MARGIN_BYTES", -BIG_BYTES)
        caught: list[BaseException] = []

        def work() -> None:
            try:
                fetch(mirror, small_disk, BIG)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: partial_size(small_disk, BIG) > 0, "the first bytes")
        (small_disk / "filler").write_bytes(bytes(30 << 20))
        mirror.hold_at = None
        thread.join()
        (error,) = caught
        assert isinstance(error, OSError)
        assert error.strerror == "No space left on device"
        assert str(error.filename).startswith(str(small_disk))
        assert partial_size(small_disk, BIG) > 20 << 20


# From another folder.


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of another file system."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        if folder.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("/dev/shm is no other file system here")
        yield folder
    finally:
        shutil.rmtree(folder)


def copy(found: ModelInCache, source: Path, cache: Path, **options: Any) -> ModelInCache:
    return copy_model(found.repo, found.revision, cache, source, tell=lambda _: None, **options)


@pytest.mark.parametrize("given", ["cache", "repository"])
def test_a_model_is_copied_from_another_file_system(
    mirror: HubMirror, cache: Path, other_disk: Path, given: str
) -> None:
    found = fetch(mirror, other_disk)
    asked = len(mirror.requests)
    source = other_disk if given == "cache" else repository_folder(other_disk, REPO)
    copied = copy(found, source, cache)
    folder = str(Path(found.folder)).replace(str(other_disk), str(cache))
    assert copied == found.model_copy(update={"how": "copied", "folder": folder})
    assert bytes_of(Path(folder)) == bytes_of(Path(found.folder))
    assert len(mirror.requests) == asked
    assert copy(found, source, cache).how == "present"
    record = read_record(repository_folder(cache, REPO), found.revision)
    assert record is not None
    assert record.endpoint == mirror.url


@pytest.mark.parametrize("name", ["LICENSE", "model.safetensors"], ids=["first", "last"])
def test_a_broken_off_copy_goes_on(
    mirror: HubMirror, cache: Path, other_disk: Path, name: str
) -> None:
    found = fetch(mirror, other_disk)
    blob = blob_of(found, name)
    partial = repository_folder(cache, REPO) / "blobs" / f"{blob.name}.incomplete"
    partial.parent.mkdir(parents=True)
    # Were it not taken up, other bytes in it would do no harm.
    partial.write_bytes(bytes(5))
    error = failure(copy, found, other_disk, cache)
    assert (error.code, name in error.message) == (FailureCode.MODEL_CORRUPT, True)
    partial.write_bytes(blob.read_bytes()[:5])
    copied = copy(found, other_disk, cache)
    assert bytes_of(Path(copied.folder)) == bytes_of(Path(found.folder))


def test_on_one_file_system_blobs_are_linked(mirror: HubMirror, tmp_path: Path) -> None:
    found = fetch(mirror, tmp_path / "one")
    copied = copy(found, tmp_path / "one", tmp_path / "two")
    assert copied.how == "copied"
    for name in MODEL:
        assert blob_of(copied, name).samefile(blob_of(found, name))


def test_a_link_needs_no_space(
    mirror: HubMirror, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "FREE_MARGIN_BYTES", 0)
        found = fetch(mirror, small_disk / "one")
    assert copy(found, small_disk / "one", small_disk / "two").how == "copied"


def test_a_copy_needs_space(mirror: HubMirror, cache: Path, small_disk: Path) -> None:
    found = fetch(mirror, cache)
    error = failure(copy, found, cache, small_disk)
    assert (error.code, str(small_disk) in error.message) == (FailureCode.NO_SPACE, True)


@pytest.mark.parametrize("disk", ["same", "other"])
def test_a_damaged_source_is_refused_and_kept(
    mirror: HubMirror, tmp_path: Path, other_disk: Path, disk: str
) -> None:
    source = tmp_path / "source" if disk == "same" else other_disk
    found = fetch(mirror, source)
    blob = blob_of(found, "model.safetensors")
    flip(blob)
    before = snapshot(source)
    error = failure(copy, found, source, tmp_path / "cache")
    assert error.code is FailureCode.MODEL_CORRUPT
    assert "model.safetensors" in error.message
    blob.unlink()
    error = failure(copy, found, source, tmp_path / "cache")
    assert (error.code, "not there" in error.message) == (FailureCode.MODEL_CORRUPT, True)
    before.pop(str(blob.relative_to(source)))
    before.pop(str((Path(found.folder) / "model.safetensors").relative_to(source)))
    assert snapshot(source) == before
    assert not list((tmp_path / "cache").rglob("snapshots"))


def test_a_source_without_a_record_is_refused(
    mirror: HubMirror, tmp_path: Path, agent: Agent
) -> None:
    found = fetch(mirror, tmp_path / "one")
    record_path(repository_folder(tmp_path / "one", REPO), found.revision).unlink()
    asked = ["--repo", REPO, "--revision", found.revision, "--from-folder", str(tmp_path / "one")]
    done = agent("download", *asked)
    assert done.returncode == 1
    assert "[model-missing]" in done.stderr
    assert "no record of a verified download" in done.stderr


def test_a_cache_is_verified_where_it_is_without_a_network(
    mirror: HubMirror, cache: Path, agent: Agent
) -> None:
    found = fetch(mirror, cache)
    mirror.__exit__()
    asked = ["--repo", REPO, "--revision", found.revision, "--verify-only", "--json"]
    before = snapshot(cache)
    for more in ([], ["--rehash"]):
        done = agent("download", *asked, "--cache", str(cache), *more)
        assert json.loads(done.stdout)["how"] == "present"
    assert snapshot(cache) == before
    blob_of(found, "config.json").unlink()
    done = agent("download", *asked, "--cache", str(cache))
    assert json.loads(done.stdout)["failure"]["code"] == "model-corrupt"
    done = agent("download", *asked, "--cache", str(cache / "none"))
    assert json.loads(done.stdout)["failure"]["code"] == "model-missing"
    assert not (cache / "none").exists()


@pytest.mark.parametrize(
    "two",
    [
        ["--verify-only", "--check-access"],
        ["--verify-only", "--from-folder", "x"],
        ["--check-access", "--from-folder", "x"],
    ],
)
def test_ways_that_exclude_each_other_are_refused(agent: Agent, two: list[str]) -> None:
    done = agent("download", "--repo", REPO, "--revision", "1" * 40, *two)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_copy_needs_no_more_than_the_base_of_the_agent() -> None:
    """A host that gets its models from a folder need not have huggingface_hub."""
    code = "import sys, loadfleet_agent.model.transfer\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "loadfleet_agent.model.transfer" in done.stdout.split()
    assert not {"huggingface_hub", "httpx", "numpy"} & set(done.stdout.split())


def test_a_branch_is_not_taken_from_a_folder(cache: Path) -> None:
    error = failure(copy_model, REPO, "main", cache, cache, tell=lambda _: None)
    assert error.code is FailureCode.BAD_PLAN


# What a run makes of it.


def test_large_weights_have_the_hash_that_was_verified(
    mirror: HubMirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fetch(mirror, cache)
    folder = Path(found.folder)
    hashed = model_facts(folder, REPO).weights_sha256
    assert hashed is not None
    monkeypatch.setattr("loadfleet_agent.model.resolve.HASH_WEIGHTS_UP_TO_BYTES", 0)
    assert model_facts(folder, REPO).weights_sha256 == hashed
    (folder / "more.safetensors").write_bytes(b"not of this model")
    assert model_facts(folder, REPO).weights_sha256 is None
    (folder / "more.safetensors").unlink()
    blob = blob_of(found, "model.safetensors")
    size = blob.stat().st_size
    blob.write_bytes(blob.read_bytes()[:-1])
    error = failure(model_facts, folder, REPO)
    assert error.code is FailureCode.MODEL_CORRUPT
    assert str(size) in error.message
    record_path(repository_folder(cache, REPO), found.revision).unlink()
    assert model_facts(folder, REPO).weights_sha256 is None
