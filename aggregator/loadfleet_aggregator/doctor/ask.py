"""Asks an inventory and its hosts by ansible-playbook: over the very connections of a run."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadfleet_agent.contract.base import Frozen
from pydantic import Field, ValidationError

from ..hosts.inventory import Selection, ansible_command, ansible_environment, first_error
from .answers import Answers

PLAYBOOK = "playbooks/doctor.yml"
LIMIT_S = 3600
"""Of ansible-playbook as a whole, for a thousand hosts. What a host may hang at has a time-out of
its own (Question.timeout_s); this ends what Ansible itself hangs at."""


class Question(Frozen):
    """Whom to ask, and what."""

    project: Path
    selection: Selection = Selection()
    remote: bool = False
    online: bool = False
    timeout_s: int = Field(default=60, ge=1, description="for each task of a host")
    arguments: tuple[str, ...] = Field(default=(), description="more of ansible-playbook's own")


NO_HOSTS = "no host of the inventory matches"
NO_HOSTS_MARKS = (
    "skipping: no hosts matched",
    "Specified inventory, host pattern and/or --limit leaves us with no hosts",
)
"""Words of ansible-playbook, which ends with 0 and with 1 after them."""


@dataclass(frozen=True)
class NoAnswer:
    """ansible-playbook gave none; the text is its own reason, on one line."""

    reason: str


def ask(question: Question) -> Answers | NoAnswer:
    """Runs the playbook with the project's ansible.cfg, whatever else the environment says."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-doctor-") as scratch:
        output = Path(scratch) / "answers.json"
        try:
            done = subprocess.run(
                command(question, output),
                cwd=question.project,
                env=_environment(question.project),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LIMIT_S,
                check=False,
            )
        except OSError as error:
            return NoAnswer(f"ansible-playbook cannot be run: {error.strerror}")
        except subprocess.TimeoutExpired as error:
            return NoAnswer(f"ansible-playbook did not end in {error.timeout:.0f} s")
        try:
            return Answers.model_validate_json(output.read_bytes())
        except OSError:
            return NoAnswer(_reason(done.stdout, done.stderr))
        except ValidationError as error:
            return NoAnswer(f"its answers are not understood: {error.errors()[0]['loc']}")


def command(question: Question, output: Path) -> list[str]:
    """ansible-playbook of our own environment."""
    variables = {
        "doctor_output": str(output),
        "doctor_remote": question.remote,
        "doctor_online": question.online,
        "doctor_timeout_s": question.timeout_s,
        "preflight_timeout_s": question.timeout_s,
    }
    return [
        ansible_command("ansible-playbook"),
        PLAYBOOK,
        *question.selection.arguments,
        "--extra-vars",
        json.dumps(variables),
        *question.arguments,
    ]


def _environment(project: Path) -> dict[str, str]:
    return ansible_environment(project) | {
        "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
        "ANSIBLE_SSH_RETRIES": "0",  # the first failure is what is asked for
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "COLUMNS": "1000",  # no line of a message is broken
    }


def _reason(stdout: str, stderr: str) -> str:
    if any(mark in f"{stderr}\n{stdout}" for mark in NO_HOSTS_MARKS):
        return NO_HOSTS
    return first_error(f"{stderr}\n{stdout}")
