"""What every question to a Hugging Face hub, and every file from it, has in common."""

from __future__ import annotations

from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.utils import build_hf_headers

from .. import __version__
from .hub_cache import HubFile

LIBRARY = "loadfleet-agent"


def hub_api(endpoint: str, token: str | None) -> HfApi:
    """The hub's client; without a token none of the user's own is taken."""
    # It would ask huggingface.co what to call itself, whatever the endpoint.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    return HfApi(endpoint=endpoint, token=token or False, library_name=LIBRARY)


def download_headers(token: str | None) -> dict[str, str]:
    """Of a request for a file, which may begin in the middle."""
    headers: dict[str, str] = build_hf_headers(
        token=token or False, library_name=LIBRARY, library_version=__version__
    )
    headers["Accept-Encoding"] = "identity"  # a position in compressed bytes would be none in ours
    return headers


def listed_file(sibling: Any, path: str) -> HubFile:
    """A file of the hub's listing, to be kept under ``path``, with the hash that it must have."""
    return HubFile(
        path=path,
        size_bytes=sibling.lfs.size if sibling.lfs else sibling.size,
        blob=sibling.lfs.sha256 if sibling.lfs else sibling.blob_id,
    )
