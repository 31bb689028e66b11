"""A wheelhouse is whole, checked by hash and named by what it was made from, or not there."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loadfleet_aggregator.wheelhouse import (
    BUILDS,
    WheelhouseError,
    archive_wheelhouse,
    build_wheelhouse,
    read_lock,
    wheelhouse_key,
)
from waiting import LONG_S

ROOT = Path(__file__).parents[3]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SIX = """\
# made by hand
six==1.17.0 \\
    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274 \\
    --hash=sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81
"""
TOOL = """\
iniconfig==2.1.0 \\
    --hash=sha256:3abbd2e30b36733fee78f9c7f7308f2d0050e88f0087fd25c2645f63c773e1c7 \\
    --hash=sha256:9deba5723312380e77435581c6bf4935c94cbfab9b1ed33ef8d238ea168eb760
"""
AGENT = """\
[project]
name = "loadfleet-agent"
version = "0.1.0"
requires-python = ">=3.11"

[build-system]
requires = ["uv_build>=0.8,<1"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-root = ""
"""


def silent(_text: str) -> None:
    return None


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with locks of two small packages and an agent of two files."""
    root = tmp_path / "project"
    package = root / "agent" / "loadfleet_agent"
    (package / "profiles").mkdir(parents=True)
    (root / "locks").mkdir()
    (root / "locks" / "agent-cpu.txt").write_text(SIX, encoding="utf-8")
    (root / "locks" / "nltk-data.txt").write_text(TOOL, encoding="utf-8")
    (root / "agent" / "pyproject.toml").write_text(AGENT, encoding="utf-8")
    (package / "__init__.py").write_text('"""An agent."""\n', encoding="utf-8")
    (package / "profiles" / "one.yaml").write_text("build: cpu\n", encoding="utf-8")
    return root


class TestKey:
    def test_is_the_same_for_the_same_files(self, project: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(project, tmp_path / "copy"))
        key = wheelhouse_key(project, "cpu", "3.11")
        assert key == wheelhouse_key(copy, "cpu", "3.11")
        assert re.fullmatch(r"cpu-py311-[0-9a-f]{12}", key)

    @pytest.mark.parametrize(
        "name",
        [
            "locks/agent-cpu.txt",
            "locks/nltk-data.txt",
            "agent/pyproject.toml",
            "agent/loadfleet_agent/__init__.py",
            "agent/loadfleet_agent/profiles/one.yaml",
        ],
    )
    def test_changes_with_the_locks_and_the_agents_source(self, project: Path, name: str) -> None:
        before = wheelhouse_key(project, "cpu", "3.11")
        with (project / name).open("a", encoding="utf-8") as stream:
            stream.write("# more\n")
        assert wheelhouse_key(project, "cpu", "3.11") != before

    def test_changes_with_a_new_and_a_renamed_file(self, project: Path) -> None:
        package = project / "agent" / "loadfleet_agent"
        keys = [wheelhouse_key(project, "cpu", "3.11")]
        (package / "more.py").write_text("", encoding="utf-8")
        keys.append(wheelhouse_key(project, "cpu", "3.11"))
        (package / "more.py").rename(package / "other.py")
        keys.append(wheelhouse_key(project, "cpu", "3.11"))
        assert len(set(keys)) == 3

    def test_does_not_change_with_what_python_leaves_there(self, project: Path) -> None:
        before = wheelhouse_key(project, "cpu", "3.11")
        cache = project / "agent" / "loadfleet_agent" / "__pycache__"
        cache.mkdir()
        (cache / "x.cpython-311.pyc").write_bytes(b"x")
        assert wheelhouse_key(project, "cpu", "3.11") == before

    def test_differs_by_build_and_python(self) -> None:
        keys = {
            wheelhouse_key(ROOT, build, python) for build in BUILDS for python in ("3.11", "3.12")
        }
        assert len(keys) == 2 * len(BUILDS)

    def test_of_the_client_does_not_follow_the_data_that_scores(self, project: Path) -> None:
        shutil.copy(project / "locks" / "agent-cpu.txt", project / "locks" / "agent-client.txt")
        before = wheelhouse_key(project, "client", "3.11")
        (project / "locks" / "nltk-data.txt").unlink()
        assert wheelhouse_key(project, "client", "3.11") == before

    def test_of_no_build_is_refused_with_those_there_are(self, project: Path) -> None:
        with pytest.raises(WheelhouseError, match="no build 'rocm': give one of cpu, cuda, image"):
            wheelhouse_key(project, "rocm", "3.11")


class TestReadLock:
    @pytest.mark.parametrize("name", [*(f"agent-{build}.txt" for build in BUILDS), "nltk-data.txt"])
    def test_reads_a_shipped_lock_whole(self, name: str) -> None:
        path = ROOT / "locks" / name
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = read_lock(path)
        pinned = [line.split("==")[0] for line in lines if "==" in line and line[0] not in "# "]
        assert [entry.name for entry in entries] == pinned
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry.text) for entry in entries)
        assert "".join(entry.text for entry in entries).count("--hash=") == sum(
            line.count("--hash=") for line in lines
        )

    def test_has_every_direct_requirement_of_the_agent(self) -> None:
        text = (ROOT / "agent" / "pyproject.toml").read_text(encoding="utf-8")
        agent = tomllib.loads(text)["project"]
        extras = agent["optional-dependencies"]
        for build, names in {
            "cpu": ("run", "hub", "data", "cpu"),
            "cuda": ("run", "hub", "data", "cuda"),
            "image": ("run", "hub", "data"),
            "client": ("client", "hub"),
        }.items():
            wanted = agent["dependencies"] + [item for name in names for item in extras[name]]
            direct = {re.split(r"[^\w-]", item)[0].lower().replace("_", "-") for item in wanted}
            locked = {entry.name for entry in read_lock(ROOT / "locks" / f"agent-{build}.txt")}
            assert direct - {"loadfleet-agent"} - locked == set(), build

    @pytest.mark.parametrize("build", ["image", "client"])
    def test_beside_vllm_has_the_versions_that_it_has_itself(self, build: str) -> None:
        """A host may go from the one runtime to the other."""

        def entries(name: str) -> dict[str, str]:
            return {entry.name: entry.text for entry in read_lock(ROOT / "locks" / name)}

        cuda, own = entries("agent-cuda.txt"), entries(f"agent-{build}.txt")
        assert {name: cuda.get(name) for name in own} == own
        heavy = {"torch", "vllm", "nvidia-cublas"}
        if build == "client":  # the image's questions are made to tokens with transformers
            heavy |= {"transformers", "numpy", "pyarrow", "mlcommons-loadgen", "tokenizers", "nltk"}
        assert heavy <= set(cuda)
        assert heavy.isdisjoint(own)

    def test_keeps_a_marker_and_leaves_comments_out(self, tmp_path: Path) -> None:
        path = tmp_path / "lock.txt"
        path.write_text(
            'a==1 ; python_version < "4" \\\n    --hash=sha256:1\n    # via b\nb[x]==2\n# end\n',
            encoding="utf-8",
        )
        assert [(entry.name, entry.text.strip()) for entry in read_lock(path)] == [
            ("a", 'a==1 ; python_version < "4" \\\n    --hash=sha256:1'),
            ("b", "b[x]==2"),
        ]


BUILDER = """
import sys
from pathlib import Path
from loadfleet_aggregator.wheelhouse import build_wheelhouse

project, python, store = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
print(build_wheelhouse(project, "cpu", python, store, lambda text: print(text, file=sys.stderr)))
"""


class TestBuild:
    def test_holds_every_wheel_by_hash_and_uv(self, project: Path, tmp_path: Path) -> None:
        told: list[str] = []
        folder = build_wheelhouse(project, "cpu", PYTHON, tmp_path / "store", told.append)
        names = {path.name for path in folder.iterdir()}
        assert names == {
            "six-1.17.0-py2.py3-none-any.whl",
            "iniconfig-2.1.0-py3-none-any.whl",
            "loadfleet_agent-0.1.0-py3-none-any.whl",
            "requirements.txt",
            "uv",
        }
        text = (folder / "requirements.txt").read_text(encoding="utf-8")
        listed = dict(
            re.findall(r"^(\S+)==\S+ --hash=sha256:([0-9a-f]{64})$", text, flags=re.MULTILINE)
        )
        assert listed == {
            path.name.split("-")[0].replace("_", "-"): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.glob("*.whl")
        }
        assert os.access(folder / "uv", os.X_OK)
        assert folder.name in told[0]

        again = build_wheelhouse(project, "cpu", PYTHON, tmp_path / "store", pytest.fail)
        assert again == folder

        archive = archive_wheelhouse(folder)
        with tarfile.open(archive) as stream:
            assert {member.name for member in stream} == {f"{folder.name}/{name}" for name in names}
        stamp = archive.stat().st_mtime_ns
        assert archive_wheelhouse(folder) == archive
        assert archive.stat().st_mtime_ns == stamp

    def test_a_second_builder_waits_and_finds_the_work_done(
        self, project: Path, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        builders = [
            subprocess.Popen(
                [sys.executable, "-c", BUILDER, project, PYTHON, store],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        ended = [builder.communicate(timeout=LONG_S) for builder in builders]
        folder = store / wheelhouse_key(project, "cpu", PYTHON)
        assert [output.strip() for output, _ in ended] == [str(folder)] * 2
        told = "".join(errors for _, errors in ended)
        assert told.count("building the wheelhouse") == 1

    def test_refuses_a_wrong_hash_and_names_the_package(
        self, project: Path, tmp_path: Path
    ) -> None:
        wrong = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, SIX)
        (project / "locks" / "agent-cpu.txt").write_text(wrong, encoding="utf-8")
        store = tmp_path / "store"
        with pytest.raises(WheelhouseError) as caught:
            build_wheelhouse(project, "cpu", PYTHON, store, silent)
        assert "six" in str(caught.value)
        assert "hash" in str(caught.value).lower()
        assert "\n" not in str(caught.value)
        assert [path for path in store.iterdir() if path.suffix != ".lock"] == []

    def test_leaves_nothing_of_an_agent_that_cannot_be_built(
        self, project: Path, tmp_path: Path
    ) -> None:
        (project / "agent" / "pyproject.toml").write_text("[project\n", encoding="utf-8")
        store = tmp_path / "store"
        with pytest.raises(WheelhouseError, match="the agent's wheel could not be built"):
            build_wheelhouse(project, "cpu", PYTHON, store, silent)
        assert [path for path in store.iterdir() if path.suffix != ".lock"] == []

    def test_builds_anew_over_a_folder_that_is_not_whole(
        self, project: Path, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        left = store / wheelhouse_key(project, "cpu", PYTHON)
        left.mkdir(parents=True)
        (left / "half.whl").write_bytes(b"half")
        folder = build_wheelhouse(project, "cpu", PYTHON, store, silent)
        assert folder == left
        assert not (folder / "half.whl").exists()
        assert (folder / "requirements.txt").is_file()

    def test_keeps_the_newest_two_of_a_build(self, project: Path, tmp_path: Path) -> None:
        store = tmp_path / "store"
        other = store / "cuda-py311-0123456789ab"
        other.mkdir(parents=True)
        built = []
        for number in range(3):
            source = project / "agent" / "loadfleet_agent" / "__init__.py"
            source.write_text(f'"""Version {number}."""\n', encoding="utf-8")
            built.append(build_wheelhouse(project, "cpu", PYTHON, store, silent))
            archive_wheelhouse(built[-1])
        left = {path.name for path in store.iterdir() if path.suffix != ".lock"}
        kept = {name for path in built[1:] for name in (path.name, f"{path.name}.tar")}
        assert left == {other.name, *kept}


def test_two_who_archive_at_once_get_one_whole_archive(tmp_path: Path) -> None:
    folder = tmp_path / "cpu-py311-0123456789ab"
    folder.mkdir()
    for number in range(50):
        (folder / f"{number}.whl").write_bytes(bytes(100_000))
    with ThreadPoolExecutor(4) as pool:
        (archive,) = set(pool.map(archive_wheelhouse, [folder] * 4))
    with tarfile.open(archive) as found:
        assert len(found.getnames()) == 50
