"""HTTP as downloads need it, by huggingface_hub's client: it retries and resumes."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import disable_progress_bars, http_backoff
from huggingface_hub.utils import logging as hub_logging

from . import __version__
from .contract.status import FailureCode
from .failure import RunFailure
from .model.transfer import Partial, Stopped

TIMEOUT_S = 30.0
RETRIES = 5
"""Of a request that gets no answer, or one of 429 and 5xx."""
LONGEST_TEXT = 64 << 10
# A position in compressed bytes would be none in ours.
HEADERS = {"User-Agent": f"loadfleet-agent/{__version__}", "Accept-Encoding": "identity"}


def checked_address(text: str) -> str:
    """An address of a server in one form. Raises RunFailure (bad-plan) if it is none."""
    if "@" in text:  # it would be written to the record and shown in every message
        raise RunFailure(FailureCode.BAD_PLAN, "endpoint: no user, password or token in it")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RunFailure(
            FailureCode.BAD_PLAN, f"endpoint {text}: wanted is http(s)://host[:port][/path]"
        )
    return text.rstrip("/")


def get_text(url: str) -> str:
    """A small text. Raises RunFailure: dataset-missing, hub-unreachable."""
    response = _ask("GET", url)
    if len(response.content) > LONGEST_TEXT:
        raise not_as_expected(url, f"{len(response.content)} bytes are no small text")
    return str(response.text)


def content_length(url: str) -> int | None:
    """Bytes of a file; None if the server does not tell. Raises RunFailure as get_text does."""
    size = _ask("HEAD", url).headers.get("Content-Length", "")
    return int(size) if size.isdecimal() else None


def read_into(
    url: str, partial: Partial, size: int | None, headers: Mapping[str, str] = HEADERS
) -> None:
    """Appends what is missing of a file; whether it is the right one the caller sees.

    A server that takes no ranges sends it anew. Raises HfHubHTTPError and HTTPError.
    """
    try:
        http_get(
            url, partial, resume_size=partial.tell(), headers=dict(headers), expected_size=size
        )
    except HfHubHTTPError as error:
        if error.response.status_code != 416:  # nothing is missing
            raise
    except OSError as error:
        if error.errno is not None or isinstance(error, OfflineModeIsEnabled):
            raise
        # Otherwise the server has ended the file at another size than it told.


def _ask(method: str, url: str) -> Any:
    with http_errors(url):
        response = http_backoff(
            method,
            url,
            max_retries=RETRIES,
            headers=HEADERS,
            timeout=TIMEOUT_S,
            follow_redirects=False,
        )
    status = response.status_code
    if status in (401, 403) or 300 <= status < 400:
        raise RunFailure(FailureCode.DATASET_MISSING, f"{url} asks for a login ({status})")
    if status in (404, 410):
        raise RunFailure(FailureCode.DATASET_MISSING, f"{url} is not there ({status})")
    if status != 200:
        raise RunFailure(FailureCode.HUB_UNREACHABLE, f"{url} answers {status}")
    return response


Refusal = Callable[[HfHubHTTPError, str], RunFailure]
"""What an answer of 4xx or 5xx means, from it and a line of what the server said."""


@contextlib.contextmanager
def http_errors(
    address: str, token: str | None = None, refusal: Refusal | None = None
) -> Iterator[None]:
    """Every error of the client as a RunFailure of one line, without the token.

    ``refusal``: default hub-access, dataset-missing or hub-unreachable, by the status.
    """
    # Its warnings show addresses with signatures in them, its bars fill a journal.
    hub_logging.set_verbosity(logging.CRITICAL)
    disable_progress_bars()

    def line(text: object) -> str:
        whole = str(text).replace(token, "***") if token else str(text)
        return next(iter(whole.strip().splitlines()), "")[:300]

    try:
        yield
    except HfHubHTTPError as error:
        said = line(error.server_message or "")
        raise (refusal or functools.partial(_dataset_refusal, address))(error, said) from None
    except HFValidationError as error:  # of a repository's name
        raise RunFailure(FailureCode.BAD_PLAN, line(error)) from None
    except OfflineModeIsEnabled:
        raise RunFailure(
            FailureCode.HUB_UNREACHABLE, f"{address} is not asked: HF_HUB_OFFLINE is set"
        ) from None
    except HTTPError as error:
        reason = line(error) or type(error).__name__
        raise RunFailure(
            FailureCode.HUB_UNREACHABLE, f"{address} cannot be reached: {reason}"
        ) from None
    except (OSError, RunFailure, Stopped):
        raise
    except Exception as error:  # of whatever it makes of an answer that is not a server's of these
        raise not_as_expected(address, f"{type(error).__name__}: {line(error)}") from None


def _dataset_refusal(address: str, error: HfHubHTTPError, said: str) -> RunFailure:
    status = error.response.status_code
    codes = {
        401: FailureCode.HUB_ACCESS,
        403: FailureCode.HUB_ACCESS,
        404: FailureCode.DATASET_MISSING,
    }
    return answered(address, status, said, codes.get(status, FailureCode.HUB_UNREACHABLE))


def answered(
    address: str, status: int, said: str, code: FailureCode = FailureCode.HUB_UNREACHABLE
) -> RunFailure:
    """An answer that is an error, in the server's own words."""
    return RunFailure(code, f"{address} answers {status}{f': {said}' if said else ''}")


def not_as_expected(address: str, why: str) -> RunFailure:
    """An answer that no such server gives: that of a login page or of a wrong address."""
    return RunFailure(FailureCode.HUB_UNREACHABLE, f"{address} does not answer as expected: {why}")
