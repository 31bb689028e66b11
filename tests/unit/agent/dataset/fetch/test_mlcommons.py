"""MLPerf's file from MLCommons: fetched, resumed, verified, recorded, refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from loadfleet_agent import http
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.fetch import mlcommons
from loadfleet_agent.dataset.fetch.mlcommons import fetch_mlcommons
from loadfleet_agent.dataset.origin import FetchedDataset, read_mlcommons_record
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.model import transfer
from mlcommons_server import FOLDER, MlcommonsServer
from waiting import LONG_S, wait_until

from ...helpers import snapshot

DATACENTER, EDGE = "llama3-1-8b-cnn-eval", "llama3-1-8b-sample-cnn-eval-5000"
NAME = "cnn_eval.json"
SMALL = b'[{"input": "a", "tok_input": [1], "output": "b"}]'
BIG = os.urandom(32 << 20)
"""Longer than what the client writes at once, 10 MiB."""


@pytest.fixture
def server() -> Iterator[MlcommonsServer]:
    files = {DATACENTER: (NAME, SMALL), EDGE: ("sample_cnn_eval_5000.json", SMALL * 2)}
    with MlcommonsServer(files) as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "datasets"


@pytest.fixture
def lines() -> list[str]:
    return []


class Fetch(NamedTuple):
    folder: Path
    lines: list[str]

    def __call__(self, server: MlcommonsServer, suite: Suite = Suite.DATACENTER) -> FetchedDataset:
        return fetch_mlcommons(suite, self.folder, base_url=server.metadata, tell=self.lines.append)

    def failure(self, server: MlcommonsServer) -> RunFailure:
        with pytest.raises(RunFailure) as caught:
            self(server)
        assert "\n" not in caught.value.message
        return caught.value

    @property
    def path(self) -> Path:
        return self.folder / NAME

    @property
    def partial(self) -> Path:
        return self.folder / f"{NAME}.incomplete"

    def names(self) -> set[str]:
        """Of what a user sees in the folder."""
        return {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}


@pytest.fixture
def fetch(folder: Path, lines: list[str]) -> Fetch:
    return Fetch(folder, lines)


WHOLE = {NAME, f"{NAME}.origin.json"}


# Fetched.


def test_the_file_is_brought_with_the_record_of_its_origin(
    server: MlcommonsServer, fetch: Fetch
) -> None:
    found = fetch(server)
    assert fetch.path.read_bytes() == SMALL
    assert fetch.names() == WHOLE
    record = read_mlcommons_record(fetch.path)
    assert record is not None
    assert record.model_dump(exclude={"fetched_utc", "schema_version"}) == {
        "source": "mlcommons",
        "file": NAME,
        "url": f"{server.url}{FOLDER}/{NAME}",
        "md5": hashlib.md5(SMALL).hexdigest(),
        "sha256": hashlib.sha256(SMALL).hexdigest(),
        "size_bytes": len(SMALL),
    }
    assert timedelta() <= utc_now() - record.fetched_utc < timedelta(seconds=LONG_S)
    assert found == FetchedDataset(
        how="downloaded",
        source="mlcommons",
        path=str(fetch.path),
        origin=record.url,
        files=1,
        bytes=len(SMALL),
        sha256=record.sha256,
    )


def test_each_suite_has_a_file_of_its_own(server: MlcommonsServer, fetch: Fetch) -> None:
    found = fetch(server, Suite.EDGE)
    assert Path(found.path) == fetch.folder / "sample_cnn_eval_5000.json"
    assert Path(found.path).read_bytes() == SMALL * 2
    asked = {request.path for request in server.requests}
    assert asked == {
        f"/metadata/{EDGE}.uri",
        f"/metadata/{EDGE}.md5",
        f"{FOLDER}/sample_cnn_eval_5000.json",
    }


def test_the_public_address_is_mlcommons() -> None:
    """As language/llama3.1-8b/README.md of mlcommons/inference names it."""
    assert f"{mlcommons.MLCOMMONS}/{mlcommons.NAMES[Suite.DATACENTER]}.uri" == (
        "https://inference.mlcommons-storage.org/metadata/llama3-1-8b-cnn-eval.uri"
    )
    assert f"{mlcommons.MLCOMMONS}/{mlcommons.NAMES[Suite.EDGE]}.uri" == (
        "https://inference.mlcommons-storage.org/metadata/llama3-1-8b-sample-cnn-eval-5000.uri"
    )


@pytest.mark.parametrize("form", ["{md5} *{name}\n", "{md5}  ./{name}\n", "{md5}  {name}"])
def test_a_list_may_have_any_form_of_md5sum(
    server: MlcommonsServer, fetch: Fetch, form: str
) -> None:
    server.md5_form = form
    assert fetch(server).how == "downloaded"


def test_a_file_that_is_here_is_not_asked_for(server: MlcommonsServer, fetch: Fetch) -> None:
    first = fetch(server)
    before, asked = snapshot(fetch.folder), len(server.requests)
    assert fetch(server) == first.model_copy(update={"how": "present"})
    assert snapshot(fetch.folder) == before
    assert len(server.requests) == asked


def test_a_file_that_was_changed_is_fetched_anew(server: MlcommonsServer, fetch: Fetch) -> None:
    first = fetch(server)
    fetch.path.write_bytes(SMALL.swapcase())
    assert fetch(server) == first
    assert fetch.path.read_bytes() == SMALL
    assert any("no longer what was fetched" in line for line in fetch.lines)


@pytest.mark.parametrize("record", [None, "", "{}", "[]"])
def test_a_right_file_without_its_record_is_not_fetched_again(
    server: MlcommonsServer, fetch: Fetch, record: str | None
) -> None:
    """Such as one that MLCommons' own downloader has brought."""
    fetch.folder.mkdir(parents=True)
    fetch.path.write_bytes(SMALL)
    if record is not None:
        fetch.path.with_name(f"{NAME}.origin.json").write_text(record)
    assert fetch(server).how == "present"
    assert not server.file_gets
    assert fetch.names() == WHOLE
    assert fetch(server).sha256 == hashlib.sha256(SMALL).hexdigest()


def test_another_file_of_that_name_is_replaced(server: MlcommonsServer, fetch: Fetch) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.path.write_bytes(b"[]")
    assert fetch(server).how == "downloaded"
    assert fetch.path.read_bytes() == SMALL


# Broken off.

SCRIPT = """
import sys
from pathlib import Path
from loadfleet_agent.contract.benchmark import Suite
from loadfleet_agent.dataset.fetch.mlcommons import fetch_mlcommons
from loadfleet_agent.failure import RunFailure
try:
    found = fetch_mlcommons(
        Suite.DATACENTER,
        Path(sys.argv[1]),
        base_url=sys.argv[2],
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(found.model_dump_json())
except RunFailure as failure:
    print(failure.code, failure.message)
"""


def _process(folder: Path, server: MlcommonsServer, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), server.metadata],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept | environment,
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@pytest.fixture
def big(server: MlcommonsServer) -> MlcommonsServer:
    server.files[DATACENTER] = (NAME, BIG)
    return server


def test_a_killed_download_goes_on_in_the_middle(big: MlcommonsServer, fetch: Fetch) -> None:
    big.hold_at = 25 << 20
    process = _process(fetch.folder, big)
    wait_until(lambda: _size(fetch.partial) >= 20 << 20, "20 MiB written")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    here = _size(fetch.partial)
    assert 20 << 20 <= here < len(BIG)
    assert fetch.names() == {fetch.partial.name}
    big.hold_at = None
    assert fetch(big).how == "downloaded"
    assert [request.byte_range for request in big.file_gets] == [None, f"bytes={here}-"]
    assert big.file_gets[1].sent_bytes == len(BIG) - here
    assert fetch.path.read_bytes() == BIG
    assert fetch.names() == WHOLE
    assert any("21 MB of it here already" in line for line in fetch.lines)


def test_a_connection_that_is_cut_is_taken_up_again(big: MlcommonsServer, fetch: Fetch) -> None:
    big.hold_at = 25 << 20
    found: list[FetchedDataset] = []
    thread = threading.Thread(target=lambda: found.append(fetch(big)))
    thread.start()
    wait_until(lambda: _size(fetch.partial) >= 20 << 20, "20 MiB written")
    big.cut()
    big.hold_at = None
    thread.join()
    assert found[0].sha256 == hashlib.sha256(BIG).hexdigest()
    assert big.sent < 1.5 * len(BIG)


def test_a_whole_file_that_was_not_yet_named_is_not_fetched_again(
    server: MlcommonsServer, fetch: Fetch
) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.partial.write_bytes(SMALL)
    assert fetch(server).how == "downloaded"
    assert server.sent == 0
    assert fetch.names() == WHOLE


def test_a_server_without_ranges_sends_the_file_anew(server: MlcommonsServer, fetch: Fetch) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.partial.write_bytes(SMALL[:20])
    server.ignore_ranges = True
    fetch(server)
    assert fetch.path.read_bytes() == SMALL
    assert [request.byte_range for request in server.file_gets] == ["bytes=20-"]


@pytest.mark.parametrize("length", [10, len(SMALL), len(SMALL) + 10])
def test_an_unfinished_file_with_other_bytes_is_fetched_anew(
    server: MlcommonsServer, fetch: Fetch, length: int
) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.partial.write_bytes(bytes(length))
    assert fetch(server).how == "downloaded"
    assert fetch.path.read_bytes() == SMALL
    assert fetch.names() == WHOLE


def test_a_second_fetch_waits_for_the_first(big: MlcommonsServer, fetch: Fetch) -> None:
    big.hold_at = 25 << 20
    first = _process(fetch.folder, big)
    wait_until(lambda: _size(fetch.partial) > 0, "the first writes")
    second = _process(fetch.folder, big)
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    big.hold_at = None
    answers = [json.loads(process.communicate()[0])["how"] for process in (first, second)]
    assert answers == ["downloaded", "present"]
    assert big.sent == len(BIG)


def test_progress_is_told(
    big: MlcommonsServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlcommons, "TELL_EVERY_S", 0.0)
    fetch(big)
    assert fetch.lines == [
        "fetching 34 MB",
        *(f"{done} of 34 MB" for done in (10, 21, 31, 34)),
    ]


# Refused.


def test_a_file_with_another_md5_is_refused_and_removed(
    server: MlcommonsServer, fetch: Fetch
) -> None:
    server.corrupt = True
    error = fetch.failure(server)
    assert error.code is FailureCode.DATASET_INVALID
    assert hashlib.md5(SMALL).hexdigest() in error.message
    assert f"{server.url}{FOLDER}/{NAME}" in error.message
    assert fetch.names() == set()
    server.corrupt = False
    assert fetch(server).how == "downloaded"


def test_a_wrong_fetch_leaves_the_file_that_was_there(
    server: MlcommonsServer, fetch: Fetch
) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.path.write_bytes(b"[]")
    server.corrupt = True
    fetch.failure(server)
    assert fetch.path.read_bytes() == b"[]"
    assert fetch.names() == {NAME}


@pytest.mark.parametrize("what", ["metadata", "files"])
def test_a_login_is_told_and_loses_nothing(
    server: MlcommonsServer, fetch: Fetch, what: str
) -> None:
    fetch.folder.mkdir(parents=True)
    fetch.partial.write_bytes(SMALL[:20])
    server.login = {what}
    error = fetch.failure(server)
    assert error.code is FailureCode.DATASET_MISSING
    assert "asks for a login" in error.message
    assert fetch.partial.read_bytes() == SMALL[:20]
    server.login = set()
    assert fetch(server).how == "downloaded"
    assert server.sent == len(SMALL) - 20


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, FailureCode.DATASET_MISSING, "asks for a login (401)"),
        (403, FailureCode.DATASET_MISSING, "asks for a login (403)"),
        (404, FailureCode.DATASET_MISSING, "is not there (404)"),
        (418, FailureCode.HUB_UNREACHABLE, "answers 418"),
        (503, FailureCode.HUB_UNREACHABLE, "answers 503"),
    ],
)
def test_what_a_server_refuses_is_told(
    server: MlcommonsServer,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: FailureCode,
    words: str,
) -> None:
    monkeypatch.setattr(http, "RETRIES", 0)
    server.status = status
    error = fetch.failure(server)
    assert (error.code, words in error.message) == (code, True), error.message
    assert f"{server.metadata}/{DATACENTER}.uri" in error.message


def test_a_server_that_fails_for_a_moment_is_asked_again(
    server: MlcommonsServer, fetch: Fetch
) -> None:
    server.status = 503
    found: list[FetchedDataset] = []
    thread = threading.Thread(target=lambda: found.append(fetch(server)))
    thread.start()
    wait_until(lambda: len(server.requests) == 1, "one request")
    server.status = None
    thread.join()
    assert found[0].how == "downloaded"


BUCKET = "no address of a bucket"


@pytest.mark.parametrize(
    ("suffix", "text", "words"),
    [
        ("uri", "<html>Please log in to the guest network</html>", BUCKET),
        ("uri", "", BUCKET),
        ("uri", "http://", BUCKET),
        ("uri", "file:///etc/passwd", BUCKET),
        ("uri", "ftp://127.0.0.1/x", BUCKET),
        ("uri", "http://[::1", BUCKET),
        ("uri", "http://user:secret@127.0.0.1/x", BUCKET),
        ("uri", "http://one/\nhttp://two/", BUCKET),
        ("uri", "x" * 100_000, "no small text"),
        ("md5", "", "it lists no cnn_eval.json"),
        ("md5", "<html></html>", "it lists no cnn_eval.json"),
        ("md5", f"{'0' * 32}  other.json\n", "it lists no cnn_eval.json"),
        ("md5", f"{'0' * 31}  {NAME}\n", "it lists no cnn_eval.json"),
    ],
)
def test_what_is_not_mlcommons_is_told_so(
    server: MlcommonsServer, fetch: Fetch, suffix: str, text: str, words: str
) -> None:
    server.texts[f"{DATACENTER}.{suffix}"] = text
    error = fetch.failure(server)
    assert (error.code, words in error.message) == (FailureCode.HUB_UNREACHABLE, True)
    assert f"{server.metadata}/{DATACENTER}.{suffix}" in error.message
    assert not server.file_gets
    assert fetch.names() == set()


def test_what_is_asked_for_by_https_does_not_come_by_http(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlcommons, "get_text", lambda _: "http://bucket.example/datasets\n")
    with pytest.raises(RunFailure, match=BUCKET):
        fetch_mlcommons(Suite.DATACENTER, fetch.folder, tell=fetch.lines.append)


def test_a_list_cannot_name_a_place_outside_of_the_folder(
    server: MlcommonsServer, fetch: Fetch, tmp_path: Path
) -> None:
    server.texts[f"{DATACENTER}.md5"] = f"{hashlib.md5(SMALL).hexdigest()}  ../../x/{NAME}\n"
    fetch.failure(server)
    assert {path.name for path in tmp_path.rglob("*.json")} == set()


def test_a_server_that_is_not_there_is_told(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, server: MlcommonsServer
) -> None:
    monkeypatch.setattr(http, "RETRIES", 0)
    server.__exit__()
    error = fetch.failure(server)
    assert (error.code, server.url in error.message) == (FailureCode.HUB_UNREACHABLE, True)


def test_nothing_is_asked_where_that_is_forbidden(server: MlcommonsServer, fetch: Fetch) -> None:
    out = _process(fetch.folder, server, HF_HUB_OFFLINE="1").communicate()[0]
    assert out.startswith("hub-unreachable ")
    assert "HF_HUB_OFFLINE is set" in out
    assert not server.requests


@pytest.mark.parametrize(
    "base_url", ["", "inference.mlcommons-storage.org", "file:///x", "http://a@b", "http://x:y"]
)
def test_an_address_that_is_none_is_refused(fetch: Fetch, base_url: str) -> None:
    with pytest.raises(RunFailure) as caught:
        fetch_mlcommons(Suite.DATACENTER, fetch.folder, base_url=base_url, tell=fetch.lines.append)
    assert caught.value.code is FailureCode.BAD_PLAN
    assert not fetch.folder.exists()


def test_a_file_that_does_not_fit_is_not_begun(
    big: MlcommonsServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=transfer.FREE_MARGIN_BYTES + len(BIG) - 1)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: free)
    error = fetch.failure(big)
    assert (error.code, str(fetch.folder) in error.message) == (FailureCode.NO_SPACE, True)
    assert not big.file_gets
    assert fetch.names() == set()
