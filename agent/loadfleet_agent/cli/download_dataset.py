"""Bring MLPerf's samples, or MMLU's questions, to this host: download-dataset."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..contract.benchmark import Suite
from ..contract.dataset import CNN_DAILYMAIL_COMMIT, RebuiltDataset
from ..contract.evaluation import MMLU_COMMIT, MMLU_REPO, HubMmlu
from .exit import guarded, refuse
from .options import DEFAULT_HOME, Home, Json, TokenFile
from .output import tell

app = typer.Typer()


class Origin(StrEnum):
    """Who is asked."""

    MLCOMMONS = "mlcommons"
    HUB = "hub"
    MMLU = "mmlu"


@app.command(
    epilog="Example: loadfleet-agent download-dataset && "
    "loadfleet-agent download-dataset --source hub --endpoint https://mirror.example"
)
def download_dataset(
    source: Annotated[
        Origin,
        typer.Option(
            help="mlcommons: MLPerf's own file, for dataset source mlcommons. "
            "hub: CNN/DailyMail as it is published, for dataset source rebuilt. "
            "mmlu: MMLU's questions of the hub, for benchmarks: mmlu."
        ),
    ] = Origin.MLCOMMONS,
    suite: Annotated[Suite, typer.Option(help="Whose file; mlcommons only.")] = Suite.DATACENTER,
    revision: Annotated[
        str | None,
        typer.Option(help="Commit of the dataset, all 40 digits; hub and mmlu. Default: pinned."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where to. Default: datasets, or of the hub cache/hub, of --home."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="A mirror of MLCommons' storage, or of the hub.")
    ] = None,
    token_file: TokenFile = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put MLPerf's samples or MMLU's questions on this host, verified, to run without a network.

    Broken off, it goes on where it was. What is here is not asked for again.
    """
    if source is Origin.MLCOMMONS and (revision or token_file):
        refuse("--revision and --token-file belong to --source hub and mmlu")

    def work() -> None:
        from ..dataset.fetch.hub import dataset_commit, fetch_hub, fetch_mmlu
        from ..dataset.fetch.mlcommons import MLCOMMONS, fetch_mlcommons
        from ..host.owner import become_owner
        from ..model.download import HUB, read_token
        from ..model.hub_cache import is_commit

        if source is Origin.MLCOMMONS and folder is None:
            become_owner(home)  # who reads it: prompts are nobody else's
        else:
            os.umask(0o022)  # what is kept elsewhere may be for several hosts and users
        if source is Origin.MLCOMMONS:
            target = (folder or home / "datasets").expanduser().absolute()
            found = fetch_mlcommons(suite, target, base_url=endpoint or MLCOMMONS, tell=tell)
        else:
            token = read_token(token_file)
            address = endpoint or HUB
            repo, pinned = (
                (MMLU_REPO, MMLU_COMMIT)
                if source is Origin.MMLU
                else (RebuiltDataset().repo, CNN_DAILYMAIL_COMMIT)
            )
            at = revision or pinned
            if not is_commit(at):
                commit = dataset_commit(repo, at, endpoint=address, token=token)
                refuse(f"--revision {at}: give the commit, which is now {commit}")
            target = (folder or home / "cache" / "hub").expanduser().absolute()
            if source is Origin.MMLU:
                asked = HubMmlu(revision=at)
                found = fetch_mmlu(asked, target, endpoint=address, token=token, tell=tell)
            else:
                wanted = RebuiltDataset(revision=at)
                found = fetch_hub(wanted, target, endpoint=address, token=token, tell=tell)
        if json_:
            print(found.model_dump_json(indent=2))
        else:
            print(f"{found.how}: {found.path}: {found.bytes / 1e6:,.1f} MB, verified")

    guarded(work, "download-dataset", json_)
