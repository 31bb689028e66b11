"""NLTK's sentence model: verified, copied, never downloaded."""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
from pathlib import Path

import pytest
from loadfleet_agent.accuracy.punkt import FILES, FOLDER, install_punkt
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.failure import RunFailure

PACKAGED = Path(sysconfig.get_paths()["purelib"]) / "llama_index/core/_static/nltk_cache" / FOLDER


@pytest.fixture
def no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without the packaged data, and with a home that holds none."""
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"purelib": str(tmp_path / "packages")})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NLTK_DATA", raising=False)


def _copy(root: Path) -> Path:
    shutil.copytree(PACKAGED, root / FOLDER)
    return root / FOLDER


def _is_genuine(folder: Path) -> bool:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES} == (
        FILES
    )


def test_the_packaged_data_is_installed_and_nothing_else(tmp_path: Path) -> None:
    data = install_punkt(tmp_path)
    assert _is_genuine(data / FOLDER)
    assert {path.name for path in data.rglob("*") if path.is_file()} == set(FILES)


def test_nltk_splits_sentences_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    data = install_punkt(tmp_path)
    monkeypatch.setattr(nltk.data, "path", [str(data)])
    assert nltk.sent_tokenize("Dr. Pike came. She won.") == ["Dr. Pike came.", "She won."]


@pytest.mark.usefixtures("no_source")
def test_is_found_through_nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _copy(tmp_path / "mine")
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'none'}:{tmp_path / 'mine'}")
    assert _is_genuine(install_punkt(tmp_path / "cache") / FOLDER)


@pytest.mark.usefixtures("no_source")
def test_is_found_in_the_users_home(tmp_path: Path) -> None:
    _copy(tmp_path / "home" / "nltk_data")
    assert _is_genuine(install_punkt(tmp_path / "cache") / FOLDER)


@pytest.mark.usefixtures("no_source")
@pytest.mark.parametrize("name", FILES)
def test_is_refused_if_one_byte_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = _copy(tmp_path / "mine")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "mine"))
    if (Path("/usr/share/nltk_data") / FOLDER).is_dir():
        pytest.skip("this machine has a copy of its own, which is taken instead")
    with pytest.raises(RunFailure) as caught:
        install_punkt(tmp_path / "cache")
    assert caught.value.code is FailureCode.PUNKT_MISSING
    assert str(folder) in caught.value.message
    assert not (tmp_path / "cache" / "nltk_data").exists()


def test_a_damaged_copy_in_the_cache_is_replaced(tmp_path: Path) -> None:
    copied = install_punkt(tmp_path) / FOLDER
    (copied / "ortho_context.tab").write_text("damaged")
    (copied / "english.pickle").write_text("not ours")
    again = install_punkt(tmp_path) / FOLDER
    assert _is_genuine(again)
    assert {path.name for path in again.iterdir()} == set(FILES)


def test_a_good_copy_in_the_cache_is_left_as_it_is(tmp_path: Path) -> None:
    path = install_punkt(tmp_path) / FOLDER / "abbrev_types.txt"
    before = path.stat()
    install_punkt(tmp_path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
