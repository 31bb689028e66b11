"""One copy of the project for each test module."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator

import pytest
from e2e_project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    copy = Project(tmp_path_factory.mktemp("project"))
    yield copy
    for process in copy.processes():
        process.send_signal(signal.SIGKILL)
    shutil.rmtree(copy.folder, ignore_errors=True)
