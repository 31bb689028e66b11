"""hugging_face_token: proves that a token reads a model, then stores it for root alone."""

from __future__ import annotations

import glob
import os
import pathlib
import tempfile
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: hugging_face_token
short_description: Prove that a Hugging Face token reads a model, then store it for root alone
description:
  - Asks the hub from this host, which also shows that there is a route. Only then the token is
    stored, in a file of mode 0600 in a folder of mode 0700. It is never printed.
  - Without a token the access is proved all the same, for a model that is not gated.
options:
  token:
    description: The token; nothing is stored if there is none, and a file that is there stays.
    type: str
  path:
    description: File for the token.
    type: path
    default: /etc/loadfleet/hf_token
  repo:
    description: Model that must be readable; not asked if not given.
    type: str
  revision:
    description: Its revision.
    type: str
    default: main
  unless:
    description: Where this path (a glob) exists, the model is here and the hub is not asked.
    type: str
  endpoint:
    description: The hub or a mirror of it.
    type: str
    default: https://huggingface.co
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Store the token
  hugging_face_token:
    token: "{{ lookup('env', 'HF_TOKEN') }}"
    repo: meta-llama/Llama-3.1-8B-Instruct
  no_log: true
"""

RETURN = r"""
stored: {description: Whether a token is stored on the host, type: bool, returned: always}
access: {description: proved or not asked, type: str, returned: always}
"""

TIMEOUT_S = 30
PROBE = "config.json"
"""A file that every model has; on a gated model only who has access may read it."""


class Refused(Exception):
    """The hub does not give the model; the text is the whole message."""


def prove_access(endpoint: str, repo: str, revision: str, token: str) -> None:
    """Reads the head of one file of the model. Raises Refused with cause and remedy."""
    url = f"{endpoint.rstrip('/')}/{repo}/resolve/{revision}/{PROBE}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        open_url(
            url, method="HEAD", headers=headers, timeout=TIMEOUT_S,
            unredirected_headers=["Authorization"], follow_redirects="all",
        )  # fmt: skip
    except HTTPError as error:
        raise Refused(_denied(error, endpoint, repo, revision, bool(token))) from None
    except (URLError, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error)).replace(token or "\0", "***")
        raise Refused(
            f"the hub {endpoint} cannot be reached: {reason}: mend the route, or set "
            "hf_auth_endpoint to a mirror"
        ) from None


def _denied(error: HTTPError, endpoint: str, repo: str, revision: str, has_token: bool) -> str:
    page = f"{endpoint.rstrip('/')}/{repo}"
    kind = error.headers.get("X-Error-Code", "")
    if kind == "RevisionNotFound" or (error.code == 404 and kind == "EntryNotFound"):
        return f"model {repo} has no revision {revision}: look at {page}/commits/main"
    if error.code == 401 and has_token and kind != "GatedRepo":
        return (
            f"the token is wrong or expired (the hub says 401 for {repo}): make one that can "
            "read at https://huggingface.co/settings/tokens"
        )
    if error.code in (401, 403):
        who = "the token's account has no access" if has_token else "there is no token"
        return f"model {repo} is gated and {who}: accept its terms at {page}, then try again"
    if error.code == 404:
        return f"model {repo} is not at {endpoint}: mend loadfleet_model or hf_auth_endpoint"
    return f"the hub {endpoint} answers {error.code} for {repo}: try again later"


def is_stored(path: pathlib.Path, token: str) -> bool:
    try:
        same = path.read_text(encoding="utf-8") == token
        state, folder = path.stat(), path.parent.stat()
    except OSError:
        return False
    private = state.st_mode & 0o777 == 0o600 and folder.st_mode & 0o777 == 0o700
    return same and private and state.st_uid == 0 and folder.st_uid == 0


def store(path: pathlib.Path, token: str) -> None:
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    os.chown(folder, 0, 0)
    # Beside its place, so that no other folder ever holds it, and private from its first byte.
    descriptor, name = tempfile.mkstemp(dir=folder)
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(token)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def stored_token(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "token": {"type": "str", "no_log": True},
            "path": {"type": "path", "default": "/etc/loadfleet/hf_token"},
            "repo": {"type": "str"},
            "revision": {"type": "str", "default": "main"},
            "unless": {"type": "str"},
            "endpoint": {"type": "str", "default": "https://huggingface.co"},
        },
        supports_check_mode=True,
    )
    params = module.params
    token, path = (params["token"] or "").strip(), pathlib.Path(params["path"])
    changed = bool(token) and not is_stored(path, token)
    access = "not asked"
    try:
        if params["repo"] and not (params["unless"] and glob.glob(params["unless"])):  # noqa: PTH207 - an absolute pattern
            proven = token or stored_token(path)
            prove_access(params["endpoint"], params["repo"], params["revision"], proven)
            access = "proved"
    except Refused as error:
        module.fail_json(msg=str(error))
    if changed and not module.check_mode:
        store(path, token)
    module.exit_json(changed=changed, access=access, stored=bool(token) or path.exists())


if __name__ == "__main__":
    main()
