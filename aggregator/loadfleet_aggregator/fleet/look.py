"""Looks at a host again and again over its own connection, which may be lost between."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleError

Execute = Callable[..., dict[str, Any]]
"""An action's way to run a shell command: stdout, stderr and rc of it."""


def look_at_host(
    execute: Execute, reset: Callable[[], None], command: str, mark: str, **options: Any
) -> tuple[str | None, str]:
    """What ``command`` printed after ``mark``; or None and, on one line, why the host gave nothing.

    ``reset`` drops the connection, so that the next look opens a new one. What comes before
    the mark (banners, shell start-up files) is not the command's. Raises
    AnsibleAuthenticationFailure: a wrong password must not be tried again and again.
    """
    try:
        out = execute(command, **options)
    except AnsibleAuthenticationFailure:
        raise
    except AnsibleError as error:  # AnsibleConnectionFailure (ssh exit 255) above all
        reset()
        text = str(error).strip() or repr(error)
        return None, text.splitlines()[-1].strip()[-120:]
    _, found, text = out["stdout"].partition(mark)
    if not found:
        return None, f"no answer from the shell (rc {out['rc']}): {out['stderr'].strip()[-80:]}"
    return text.strip(), ""


def end_with_playbook(parent: int) -> None:
    """Ends this worker if its parent is no longer ``parent``: ansible-playbook was killed, and
    its workers, which have called setsid, would stay."""
    if os.getppid() != parent:
        os._exit(1)
