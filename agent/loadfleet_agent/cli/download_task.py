"""Bring the data of one of lm_eval's tasks to this host: download-task."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ..contract.evaluation import MmluTask
from .exit import guarded, refuse
from .options import DEFAULT_HOME, Home, Json, TokenFile

app = typer.Typer()


@app.command(epilog="Example: loadfleet-agent download-task gsm8k")
def download_task(
    task: Annotated[
        str, typer.Argument(help="lm_eval's name of it, as in the setting evaluations.")
    ],
    endpoint: Annotated[
        str, typer.Option(envvar="HF_ENDPOINT", help="The hub or a mirror of it.")
    ] = "https://huggingface.co",
    token_file: TokenFile = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put the data of a task of lm_eval on this host, to run without a network.

    It is what the hub has now: a task names no revision. The result has a hash of the questions.
    """
    if task in tuple(MmluTask):
        refuse(f"{task}: its questions come with: loadfleet-agent download-dataset --source mmlu")

    def work() -> None:
        from ..evaluation.environment import datasets_cache, online_environment
        from ..host.owner import become_owner

        os.environ |= online_environment(home, endpoint)
        from ..http import checked_address
        from ..model.download import read_token

        checked_address(endpoint)
        if token := read_token(token_file):
            os.environ["HF_TOKEN"] = token
        become_owner(home)  # who runs, and writes locks there
        datasets_cache(home).mkdir(parents=True, exist_ok=True)
        from ..evaluation.fetch import fetch_task

        found = fetch_task(task, home)
        if json_:
            print(found.model_dump_json(indent=2))
        else:
            print(f"{found.how}: {task}: {found.questions:,} questions in {found.path}")

    guarded(work, "download-task", json_)
