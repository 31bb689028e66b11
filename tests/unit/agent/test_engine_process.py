"""How the end of the engine's process is explained."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.engine_process import EngineProcess
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.host import memory

from .helpers import make_plan


@pytest.mark.parametrize(
    ("kills", "code", "words"),
    [
        (3, FailureCode.ENGINE_DIED, "was ended by SIGKILL"),
        (4, FailureCode.OUT_OF_MEMORY, "the host ran out of memory, and the kernel killed"),
    ],
)
def test_a_kill_is_the_kernels_if_it_has_killed_for_memory_meanwhile(
    kills: int, code: FailureCode, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 5\noom_kill 3\nunevictable_pgs_culled 0\n")
    monkeypatch.setattr(memory, "VMSTAT", vmstat)
    plan = make_plan(engine={"kind": "null"})
    write_model(tmp_path / "plan.json", plan)
    engine = EngineProcess(plan, tmp_path, tmp_path)
    try:
        vmstat.write_text(f"oom_kill {kills}\n")
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(RunFailure, match=words) as failure:
            engine.receive()
    finally:
        engine.close(abort=True)
    assert failure.value.code is code


def test_a_kernel_that_tells_nothing_has_killed_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "VMSTAT", tmp_path / "no-file")
    assert memory.oom_kills() == 0
