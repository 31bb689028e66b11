"""Text of others in Markdown that we write."""

from __future__ import annotations

from .terminal import printable


def cell(text: object) -> str:
    """Any text as one line that stays in its table cell and is shown as it is.

    No tag, no link and no mention of a user comes from it, and no letter of it turns the line
    around or is not seen.
    """
    line = printable(text)
    # The backslash first: it would take the escape of what follows it away.
    for character in "\\|`[":
        line = line.replace(character, f"\\{character}")
    return line.replace("<", "&lt;").replace("@", "&#64;")
