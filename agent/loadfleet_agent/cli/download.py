"""Bring a model to this host: download."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from .exit import guarded, refuse
from .options import DEFAULT_HOME, Home, Json
from .output import print_json, tell

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet-agent download --repo meta-llama/Llama-3.1-8B-Instruct "
    "--revision 0e9e39f249a16976918f6564b8830bc894c89659 --token-file /etc/loadfleet/hf_token"
)
def download(
    repo: Annotated[str, typer.Option(help="Model repository, org/name.")],
    revision: Annotated[
        str, typer.Option(help="Commit, all 40 digits. For a branch the answer is its commit.")
    ],
    cache: Annotated[
        Path | None,
        typer.Option(help="Hugging Face hub cache to put it in. Default: cache/hub of --home."),
    ] = None,
    endpoint: Annotated[
        str, typer.Option(envvar="HF_ENDPOINT", help="The hub or a mirror of it.")
    ] = "https://huggingface.co",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File that holds the token. Default: systemd's credential hf_token."),
    ] = None,
    from_folder: Annotated[
        Path | None,
        typer.Option(help="Take it from this hub cache, filled by download; ask no network."),
    ] = None,
    verify_only: Annotated[
        bool,
        typer.Option("--verify-only", help="Only see that it is in the cache; ask no network."),
    ] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Hash all files again also if they are here.")
    ] = False,
    check_access: Annotated[
        bool, typer.Option("--check-access", help="Only ask whether the model may be read.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put a model into the hub cache of this host, every byte verified.

    Broken off, it goes on where it was. A model that is here is not asked for again.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        refuse(f"--repo {repo}: write it as org/name")
    if (from_folder is not None) + verify_only + check_access > 1:
        refuse("--from-folder, --verify-only and --check-access exclude each other")

    def work() -> None:
        os.umask(0o022)  # weights are no secret, and a run is another user's
        target = (cache or home / "cache" / "hub").expanduser().absolute()
        source = target if verify_only else from_folder
        if source:
            from ..model.transfer import copy_model

            found = copy_model(repo, revision, target, source, rehash=rehash, tell=tell)
        else:
            from ..model import download as hub

            token = hub.read_token(token_file)
            if check_access:
                commit = hub.check_access(repo, revision, endpoint, token)
                if json_:
                    print_json({"repo": repo, "revision": commit})
                else:
                    print(f"{repo} may be read: {revision} is {commit}")
                return
            found = hub.download_model(
                repo, revision, target, endpoint=endpoint, token=token, rehash=rehash, tell=tell
            )
        if json_:
            print(found.model_dump_json(indent=2))
        else:
            size = f"{found.files} files, {found.bytes / 1e9:.2f} GB"
            print(f"{found.how}: {found.repo} in {found.folder}: {size}, all verified")

    guarded(work, "download", json_)
