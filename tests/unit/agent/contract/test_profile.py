"""Profile files: those that ship, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_agent.contract.profile import ProfileError, known_profiles, load_profile
from loadfleet_agent.contract.settings import parse_settings, resolve_plan


def test_profiles_ship() -> None:
    assert {"a30-bf16", "cpu-smoke", "null-engine"} <= set(known_profiles())


@pytest.mark.parametrize("name", known_profiles())
def test_a_shipped_profile_makes_a_plan(name: str) -> None:
    assert load_profile(name).description
    settings = parse_settings(
        {"profile": name, "model": {"source": "tiny"}, "dataset": {"source": "synthetic"}}
    )
    plan = resolve_plan(settings, run_id="run", host="host")
    assert plan.engine == load_profile(name).engine


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("description: x\nbuild: cpu\nengin: {}\n", "engin: no such key"),
        ("description: x\nbuild: cpu\nengine: {maxlen: 1}\n", "engine.maxlen: no such key"),
        ("description: x\nbuild: rocm\n", "build"),
        ("description: x\nbuild: cpu\nruntime: venv\n", "runtime: no such key"),
        ("description: x\n", "build: missing"),
        ("- a\n- b\n", "the whole"),
        ("", "the whole"),
        ("a: [1\n", "not YAML"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_and_key(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(str(path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_bytes(b"description: \xff\xfe\n")
    with pytest.raises(ProfileError, match="profile.yaml"):
        load_profile(str(path))


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=", ".join(known_profiles())):
        load_profile("a40")
