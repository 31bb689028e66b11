"""Values as every rendering of a report shows them, and the templates that show them."""

from __future__ import annotations

from datetime import datetime

from jinja2 import (
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)
from markupsafe import Markup

from ..text.figures import NO_VALUE, milliseconds, number, signed_share
from ..text.listing import some
from ..text.markdown import cell
from ..text.terminal import printable


def environment(*, html: bool, package: str | None = None) -> Environment:
    """Of the templates of one rendering, with the filters of both.

    ``package``: another package with ``templates`` of its own, which come first.
    """
    loaders = [PackageLoader(package)] if package else []
    loaders.append(PackageLoader(__package__, "templates/html" if html else "templates/markdown"))
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=select_autoescape(["html.j2"]) if html else False,
        undefined=StrictUndefined,
        finalize=_seen if html else _seen_without_tags,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "ms": milliseconds,
        "utc": utc,
        "signed_percent": signed_share,
        "percent": percent,
        "seconds": seconds,
        "duration": duration,
        "money": money,
        "sentence": sentence,
        "some": some,
        "cell": cell,
    }
    return made


def _seen(value: object) -> object:
    """Every text that goes into the page: letters that would not be seen, or that would turn the
    others around, are written as what they are. Tags are left to autoescape."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(printable(line) for line in value.split("\n"))


def _seen_without_tags(value: object) -> object:
    """The same in Markdown, which lets tags through."""
    seen = _seen(value)
    return seen.replace("<", "&lt;") if isinstance(seen, str) else seen


def utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def percent(share: float | None, digits: int = 1) -> str:
    """0.973 as 97.3 %."""
    return NO_VALUE if share is None else f"{share * 100:,.{digits}f} %"


def seconds(value: float | None) -> str:
    """With as many digits as help: 0.0123 as 12.3 ms."""
    if value is None:
        return NO_VALUE
    return f"{value * 1e3:,.1f} ms" if abs(value) < 1 else f"{value:,.1f} s"


def duration(value: float) -> str:
    """Seconds as a person says them."""
    if value < 60:
        return f"{value:.1f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def money(value: float | None) -> str:
    """An amount with as many digits as help."""
    if value is None:
        return NO_VALUE
    return f"{value:,.2f}" if value >= 10 else f"{value:.3g}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" * bool(
        text
    )
