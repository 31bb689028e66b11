"""Parts that are dear to make and shared: the tiny model, finished runs, a real vLLM run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.model.resolve import model_facts
from loadfleet_agent.model.tiny_llama import make_tiny_llama
from loadfleet_agent.model.tokenizer import ModelTokenizer

from .helpers import QUICK, Agent

VLLM_SETTINGS: dict[str, Any] = QUICK | {
    "profile": "cpu-smoke",
    "server_target_qps": 10,
    "modes": ["performance", "accuracy"],
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_llama(folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tiny_folder: Path) -> ModelTokenizer:
    return ModelTokenizer(tiny_folder)


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> ModelFacts:
    return model_facts(tiny_folder, "tiny")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent with an empty data folder; whatever it leaves is ended after the test."""
    made = Agent(tmp_path / "home")
    yield made
    made.close()


@dataclass(frozen=True)
class FinishedRun:
    agent: Agent
    run_id: str
    returncode: int
    stdout: str
    stderr: str

    @property
    def folder(self) -> Path:
        return self.agent.folder(self.run_id)


def _run(home: Path, settings: dict[str, Any]) -> FinishedRun:
    agent = Agent(home)
    done = agent("run", *agent.settings("shared", settings))
    return FinishedRun(agent, "shared", done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def null_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A whole run of the null engine: both scenarios, both modes, scored and sealed."""
    return _run(
        tmp_path_factory.mktemp("null") / "home", QUICK | {"modes": ["performance", "accuracy"]}
    )


@pytest.fixture(scope="session")
def vllm_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A whole run of real vLLM with the tiny model."""
    return _run(tmp_path_factory.mktemp("vllm") / "home", VLLM_SETTINGS)
