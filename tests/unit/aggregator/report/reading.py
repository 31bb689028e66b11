"""Pages and tables as a program reads them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}
"""Of HTML; an element of SVG without content closes itself."""


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        """Of every attribute of this name."""
        return [value for _, attribute, value in self.attributes if attribute == name]


def seen(html: str) -> str:
    """The page's text, without its style and script."""
    return "".join(Page(re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)).text)


def tables(markdown: str) -> list[list[str]]:
    """Rows of each table."""
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE)
    return [block.splitlines() for block in blocks]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1
