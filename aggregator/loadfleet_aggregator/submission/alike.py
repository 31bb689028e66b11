"""Several hosts in one package: each is a system of its own, all run one implementation.

No rule of MLPerf Inference lets one host's logs stand for others of its kind, so each host has
its own system description and its own logs, and nothing is added up. One folder of source code
describes them all, so what they ran must be one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..fleet.differences import differences
from ..fleet.same_machine import shared_marks
from .finding import Finding
from .measured import CHOOSE_HOSTS, Measured


def check_alike(hosts: Sequence[Measured]) -> list[Finding]:
    """What differs between hosts that one package cannot say of its one implementation, and
    hosts that are one machine."""
    mixed = [
        Finding(where="hosts", what=f"they did not run the same: {line}", todo=CHOOSE_HOSTS)
        for line in differences({host.host: _implementation(host) for host in hosts})
    ]
    return mixed + [
        Finding(
            where=", ".join(names),
            what=f"one machine under several names ({mark}): they took from each other",
            todo="run one of them alone, or choose it with --host",
        )
        for mark, names in shared_marks({host.host: host.facts for host in hosts}).items()
    ]


def _implementation(host: Measured) -> dict[str, str]:
    return {
        "suite": host.suite.value,
        "build of vLLM": host.plan.build.value,
        "runtime": host.plan.runtime.value,
        "container image": host.facts.container_image or "none",
        "engine": f"{host.engine.kind} {host.engine.version}",
        "model configuration": host.model.config_sha256[:12],
        "tokenizer": host.model.tokenizer_sha256[:12],
        "weights": (host.model.weights_sha256 or "not hashed")[:12],
        "dataset": host.dataset.library_sha256[:12],
        "precision": f"{host.plan.engine.dtype}, {host.plan.engine.quantization or 'as the model'}",
        "output limits": str(host.plan.generation.model_dump(mode="json")),
        "Python": host.facts.python,
    } | {f"package {name}": version for name, version in host.facts.packages.items()}
