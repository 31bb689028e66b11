"""The command loadfleet.

All of it is imported at every start: what is heavy is imported by the command that needs it.
"""

from __future__ import annotations

from .app import app, main

__all__ = ["app", "main"]
