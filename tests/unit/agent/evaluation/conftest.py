"""Made-up questions, and lm_eval kept from the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_agent.contract.evaluation import SyntheticMmlu
from loadfleet_agent.evaluation.data import MmluPlace, find_mmlu
from loadfleet_agent.evaluation.environment import offline_environment


@pytest.fixture(scope="session", autouse=True)
def torch_for_transformers(torch_beside_ansible: None) -> None:
    """lm_eval and transformers import it."""


@pytest.fixture(scope="session")
def evaluation_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the questions of seed 0. What datasets makes of them stays there too."""
    home = tmp_path_factory.mktemp("evaluation-home")
    find_mmlu(SyntheticMmlu(), home)
    return home


@pytest.fixture(autouse=True)
def offline(evaluation_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here alone: tests of other folders have a hub of their own."""
    for name, value in offline_environment(evaluation_home).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def made(evaluation_home: Path) -> MmluPlace:
    return find_mmlu(SyntheticMmlu(), evaluation_home)
