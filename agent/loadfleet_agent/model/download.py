"""Brings a model from the Hugging Face hub, or a mirror of it, into a hub cache on this host.

huggingface_hub's own snapshot_download begins a file that was broken off anew (it gives the
unfinished file a random name), and no setting changes that; its http_get does go on in the middle.
So huggingface_hub names the files and reads them, and transfer.py keeps what has come.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError

from ..contract.status import FailureCode
from ..failure import RunFailure
from ..http import (
    TIMEOUT_S,
    answered,
    checked_address,
    http_errors,
    not_as_expected,
    read_into,
)
from .hub_api import download_headers, hub_api, listed_file
from .hub_cache import HubFile, is_commit, repository_folder
from .transfer import ModelInCache, Partial, Tell, alone, bring, complete, present

HUB = "https://huggingface.co"
WANTED = (
    *("*.json", "*.safetensors", "tokenizer*", "*.model", "*.jinja", "merges.txt", "vocab.txt"),
    *("LICENSE*", "USE_POLICY*", "README*"),
)
"""Of the files at the top of a repository. Weights in other formats and folders are not needed."""
TOKEN_CREDENTIAL = "hf_token"
"""Name of the token among the credentials that systemd gives to a unit (LoadCredential=)."""


def read_token(path: Path | None) -> str | None:
    """The token in ``path``, else in systemd's credential hf_token, else None.

    The token of the environment or of the user's own cache is never taken. Raises RunFailure
    (hub-access) without the token in it.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if path is None and folder and (Path(folder) / TOKEN_CREDENTIAL).is_file():
        path = Path(folder) / TOKEN_CREDENTIAL
    if path is None:
        return None
    try:
        token = path.read_text("ascii").strip()
    except OSError as error:
        raise RunFailure(
            FailureCode.HUB_ACCESS, f"no token can be read: {path}: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        token = ""
    # What is not fit for a header would be shown in the error of the HTTP library.
    if not re.fullmatch(r"[!-~]+", token):
        raise RunFailure(FailureCode.HUB_ACCESS, f"{path} holds no token: one word is wanted")
    return token


def check_access(repo: str, revision: str, endpoint: str, token: str | None) -> str:
    """The commit that ``revision`` (commit, branch or tag) is, if the model's files may be read.

    Asks for the metadata and the head of one file; writes nothing. Raises RunFailure: hub-access,
    hub-unreachable, or model-missing if there is no such revision or it is no usable model.
    """
    endpoint = checked_address(endpoint)
    commit, _ = _list_files(repo, revision, endpoint, token)
    url = hf_hub_url(repo, "config.json", revision=commit, endpoint=endpoint)
    with _errors(repo, revision, endpoint, token):
        get_hf_file_metadata(url, token=token or False, timeout=TIMEOUT_S, endpoint=endpoint)
    return commit


def download_model(
    repo: str,
    revision: str,
    cache: Path,
    *,
    endpoint: str = HUB,
    token: str | None = None,
    rehash: bool = False,
    tell: Tell,
) -> ModelInCache:
    """The model in the cache, whole and verified against the hub's hashes; fetched if need be.

    A model that is there already is not asked for again: its files' sizes are checked, with
    ``rehash`` their bytes too. A second process waits for the first. Raises RunFailure: bad-plan
    for a revision that is no commit, model-missing, model-corrupt (the bad file is removed),
    hub-access, hub-unreachable, no-space.
    """
    endpoint = checked_address(endpoint)
    if not is_commit(revision):
        commit, _ = _list_files(repo, revision, endpoint, token)
        raise RunFailure(
            FailureCode.BAD_PLAN,
            f"revision {revision} of {repo} may move: pin the commit that it is now, {commit}",
        )
    repository = repository_folder(cache, repo)
    if found := present(repository, repo, revision, tell, rehash=rehash):
        return found
    commit, files = _list_files(repo, revision, endpoint, token)
    if commit != revision:
        raise not_as_expected(endpoint, f"asked for {revision}, it answered for {commit}")
    headers = download_headers(token)

    def read(file: HubFile, partial: Partial) -> None:
        url = hf_hub_url(repo, file.path, revision=commit, endpoint=endpoint)
        with _errors(repo, revision, endpoint, token):
            read_into(url, partial, file.size_bytes, headers)

    with alone(repository, tell):
        if found := present(repository, repo, revision, tell):  # by the other process
            return found
        verified = bring(repository, files, read, tell)
        return complete(repository, repo, revision, endpoint, verified, "downloaded")


def _list_files(
    repo: str, revision: str, endpoint: str, token: str | None
) -> tuple[str, tuple[HubFile, ...]]:
    """The commit of a revision and what of its files is wanted."""
    api = hub_api(endpoint, token)
    with _errors(repo, revision, endpoint, token):
        info = api.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        files = tuple(
            listed_file(item, item.rfilename)
            for item in info.siblings or ()
            if "/" not in item.rfilename
            and any(fnmatch.fnmatchcase(item.rfilename, pattern) for pattern in WANTED)
        )
        commit = str(info.sha)
    if not is_commit(commit):
        raise not_as_expected(endpoint, f"it names no commit of {revision}")
    for pattern in ("config.json", "tokenizer.json", "*.safetensors"):
        if not any(fnmatch.fnmatchcase(item.path, pattern) for item in files):
            raise RunFailure(
                FailureCode.MODEL_MISSING, f"{repo} at {commit} on {endpoint} has no {pattern}"
            )
    return commit, files


def _errors(
    repo: str, revision: str, endpoint: str, token: str | None
) -> contextlib.AbstractContextManager[None]:
    return http_errors(
        endpoint, token, lambda error, said: _refusal(error, repo, revision, endpoint, token, said)
    )


def _refusal(
    error: HfHubHTTPError, repo: str, revision: str, endpoint: str, token: str | None, said: str
) -> RunFailure:
    """What an HTTP error of the hub means for the user."""
    status = error.response.status_code
    page = f"https://huggingface.co/{repo}"
    if isinstance(error, RevisionNotFoundError):
        return RunFailure(
            FailureCode.MODEL_MISSING, f"{repo} on {endpoint} has no revision {revision}"
        )
    if status == 401 and token:
        text = f"{endpoint} does not take the token: it is wrong, expired or revoked"
    elif isinstance(error, GatedRepoError) and not token:
        text = f"{repo} is gated and no token is given: its terms are at {page}"
    elif isinstance(error, GatedRepoError):
        text = f"the token's account has no access to {repo}: accept its terms at {page}"
    elif status in (401, 404):
        seen = "with this token" if token else "without a token"
        text = f"{endpoint} shows no model {repo} {seen}: see {page}"
    elif status == 403:
        text = f"{endpoint} forbids {repo}: {said or 'no reason given'}: see {page}"
    else:
        return answered(endpoint, status, said)
    return RunFailure(FailureCode.HUB_ACCESS, text)
