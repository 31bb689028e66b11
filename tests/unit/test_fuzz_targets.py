"""The targets of make fuzz take real files, and what a short look makes of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from targets import TARGETS, seeds


@pytest.mark.parametrize("name", TARGETS)
def test_real_files_pass(name: str) -> None:
    found = list(seeds(name))
    assert found
    for data in found:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_broken_files_pass_too(name: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(list(seeds(name))))
    start = data.draw(st.integers(0, len(whole)))
    TARGETS[name](whole[:start] + data.draw(st.binary(max_size=8)) + whole[start + 8 :])
