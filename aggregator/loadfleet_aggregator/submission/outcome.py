"""What the command says of a package, or of why there is none: lines for people, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .build import Submission
from .finding import Finding
from .scores import STATEMENT


def submission_lines(made: Submission) -> list[str]:
    """The scores, each with the words that MLPerf's rules ask for, the flaws, the folder."""
    flaws = [f"rehearsal, because of {finding.where}: {finding.what}" for finding in made.flaws]
    return [*map(str, made.scores), *flaws, str(made.folder)]


def submission_json(made: Submission) -> str:
    return json.dumps(
        {
            "package": str(made.folder),
            "systems": list(made.systems),
            "scores": [
                score.model_dump(mode="json") | {"verified": False, "statement": STATEMENT}
                for score in made.scores
            ],
            "rehearsal": bool(made.flaws),
            "flaws": [finding.model_dump(mode="json") for finding in made.flaws],
        },
        indent=2,
    )


def refusal_lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, after one that counts them."""
    count = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"
    return [f"no package: {count}", *map(str, findings)]


def refusal_json(findings: Sequence[Finding]) -> str:
    return json.dumps({"refused": [item.model_dump(mode="json") for item in findings]}, indent=2)
