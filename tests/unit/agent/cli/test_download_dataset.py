"""download-dataset as a user gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlcommons_server import MlcommonsServer

from ..helpers import Agent

CONTENT = b'[{"input": "a", "tok_input": [1], "output": "b"}]'
FILES = {
    "llama3-1-8b-cnn-eval": ("cnn_eval.json", CONTENT),
    "llama3-1-8b-sample-cnn-eval-5000": ("sample_cnn_eval_5000.json", CONTENT + b"\n"),
}


@pytest.fixture
def server() -> Iterator[MlcommonsServer]:
    with MlcommonsServer(dict(FILES)) as server:
        yield server


@pytest.mark.parametrize(
    ("suite", "name"),
    [("datacenter", "cnn_eval.json"), ("edge", "sample_cnn_eval_5000.json")],
)
def test_puts_the_suites_file_into_the_data_folder(
    tmp_path: Path, server: MlcommonsServer, suite: str, name: str
) -> None:
    agent = Agent(tmp_path / "home")
    flags = ("--suite", suite, "--endpoint", server.metadata)
    done = agent("download-dataset", *flags)
    assert done.returncode == 0, done.stderr
    path = agent.home / "datasets" / name
    assert done.stdout == f"downloaded: {path}: 0.0 MB, verified\n"
    assert path.read_bytes() == dict(FILES.values())[name]
    again = agent("download-dataset", *flags, "--json")
    assert json.loads(again.stdout)["how"] == "present"


def test_a_server_that_has_it_not_ends_with_a_hint(tmp_path: Path, server: MlcommonsServer) -> None:
    server.files = {}
    done = Agent(tmp_path / "home")("download-dataset", "--endpoint", server.metadata)
    assert done.returncode == 1
    assert "[dataset-missing]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flags", [["--revision", "main"], ["--token-file", "/token"]])
def test_what_belongs_to_the_hub_is_refused_for_mlcommons(tmp_path: Path, flags: list[str]) -> None:
    done = Agent(tmp_path / "home")("download-dataset", *flags)
    assert done.returncode == 2
    assert "belong to --source hub" in done.stderr
