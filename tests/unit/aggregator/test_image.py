"""The folder that the container image is built from is complete and named by what is in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loadfleet_aggregator.image import BASE_IMAGE, BASE_PYTHON, image_context, image_key
from loadfleet_aggregator.wheelhouse import WheelhouseError, wheelhouse_key
from waiting import LONG_S

from .helpers import BIN
from .test_wheelhouse import AGENT, SIX, TOOL

ROOT = Path(__file__).parents[3]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BASE = "registry.example:5000/vllm@sha256:" + "3" * 64


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with locks of two small packages, an agent of one file, and our Dockerfile."""
    root = tmp_path / "project"
    (root / "agent" / "loadfleet_agent").mkdir(parents=True)
    (root / "locks").mkdir()
    (root / "locks" / "agent-image.txt").write_text(SIX, encoding="utf-8")
    (root / "locks" / "nltk-data.txt").write_text(TOOL, encoding="utf-8")
    (root / "agent" / "pyproject.toml").write_text(AGENT, encoding="utf-8")
    source = root / "agent" / "loadfleet_agent" / "__init__.py"
    source.write_text('"""An agent."""\n', encoding="utf-8")
    shutil.copy(ROOT / "agent" / "Dockerfile", root / "agent")
    return root


def silent(_text: str) -> None:
    return None


class TestKey:
    def test_is_a_tag_and_the_same_for_the_same_files(self, project: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(project, tmp_path / "copy"))
        key = image_key(project, "3.12", BASE)
        assert key == image_key(copy, "3.12", BASE)
        assert re.fullmatch(r"py312-[0-9a-f]{12}", key)

    def test_changes_with_all_that_decides_the_image(self, project: Path) -> None:
        keys = [
            image_key(project, "3.12", BASE),
            image_key(project, "3.11", BASE),
            image_key(project, "3.12", BASE.replace("3", "4")),
        ]
        for name in (
            "agent/Dockerfile",
            "agent/loadfleet_agent/__init__.py",
            "agent/pyproject.toml",
            "locks/agent-image.txt",
            "locks/nltk-data.txt",
        ):
            with (project / name).open("a", encoding="utf-8") as stream:
                stream.write("# more\n")
            keys.append(image_key(project, "3.12", BASE))
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize("base", ["", " ", "a b", "x\nRUN true", "-x", "x;y", "$x"])
    def test_refuses_what_is_no_image(self, project: Path, base: str) -> None:
        with pytest.raises(WheelhouseError, match="base image"):
            image_key(project, "3.12", base)


class TestContext:
    def test_is_complete_in_itself(self, project: Path, tmp_path: Path) -> None:
        store = tmp_path / "store"
        key, folder = image_context(project, PYTHON, BASE, store, silent)
        assert key == image_key(project, PYTHON, BASE)
        assert {path.name for path in folder.iterdir()} == {"Dockerfile", "wheelhouse"}
        wheelhouse = store / wheelhouse_key(project, "image", PYTHON)
        assert {path.name: path.read_bytes() for path in (folder / "wheelhouse").iterdir()} == {
            path.name: path.read_bytes() for path in wheelhouse.iterdir()
        }
        assert (folder / "wheelhouse" / "uv").stat().st_mode & 0o111
        dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
        given = dict(re.findall(r"^ARG (\w+)=(.*)$", dockerfile, flags=re.MULTILINE))
        assert given == {
            "BASE_IMAGE": BASE,
            "PYTHON_VERSION": PYTHON,
            "AGENT_VERSION": "0.1.0",
            "IMAGE_KEY": key,
        }
        # What is copied into the image is there.
        copied = re.findall(r"^COPY (\S+) \S+$", dockerfile, flags=re.MULTILINE)
        assert copied == ["wheelhouse"]

    def test_is_made_once(self, project: Path, tmp_path: Path) -> None:
        store = tmp_path / "store"
        first = image_context(project, PYTHON, BASE, store, silent)
        stamp = (first[1] / "Dockerfile").stat().st_mtime_ns
        assert image_context(project, PYTHON, BASE, store, pytest.fail) == first
        assert (first[1] / "Dockerfile").stat().st_mtime_ns == stamp

    def test_leaves_nothing_where_a_wheel_is_wrong(self, project: Path, tmp_path: Path) -> None:
        wrong = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, SIX)
        (project / "locks" / "agent-image.txt").write_text(wrong, encoding="utf-8")
        store = tmp_path / "store"
        with pytest.raises(WheelhouseError, match="six"):
            image_context(project, PYTHON, BASE, store, silent)
        assert [path for path in store.iterdir() if path.suffix != ".lock"] == []

    def test_names_an_argument_that_the_dockerfile_lacks(
        self, project: Path, tmp_path: Path
    ) -> None:
        path = project / "agent" / "Dockerfile"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("ARG IMAGE_KEY", "ARG OTHER"), encoding="utf-8")
        with pytest.raises(WheelhouseError, match="no ARG IMAGE_KEY"):
            image_context(project, PYTHON, BASE, tmp_path / "store", silent)


class TestDockerfile:
    def test_names_the_pinned_vllm(self) -> None:
        text = (ROOT / "agent" / "Dockerfile").read_text(encoding="utf-8")
        assert f"ARG BASE_IMAGE={BASE_IMAGE}\n" in text
        assert f"ARG PYTHON_VERSION={BASE_PYTHON}\n" in text
        agent = (ROOT / "agent" / "pyproject.toml").read_text(encoding="utf-8")
        (pinned,) = re.findall(r'"vllm==([\d.]+)"', agent)
        assert BASE_IMAGE.endswith(f":v{pinned}")

    def test_needs_no_other_builder_than_dockers_first(self) -> None:
        """Debian's docker.io has no BuildKit: no mounts, no here-documents, no frontend."""
        text = (ROOT / "agent" / "Dockerfile").read_text(encoding="utf-8")
        assert not re.search(r"^\s*RUN\s+--|<<|^# *syntax", text, flags=re.MULTILINE)


def test_the_command_writes_the_folder_for_a_docker_elsewhere(
    project: Path, tmp_path: Path
) -> None:
    output = tmp_path / "context"
    done = subprocess.run(
        [
            BIN / "loadfleet", "image", "--base", BASE, "--python", PYTHON, "--output", output,
            "--project", project, "--store", tmp_path / "store",
        ],
        capture_output=True, text=True, timeout=LONG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{output}\n"
    key, folder = image_context(project, PYTHON, BASE, tmp_path / "store", pytest.fail)
    assert f"docker build --tag loadfleet-agent:{key} {output}" in done.stderr

    def content(root: Path) -> dict[str, bytes]:
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }

    assert content(output) == content(folder)
