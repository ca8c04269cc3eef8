"""Markup, in which all text is escaped unless it is markup already."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: object) -> Markup:
    """Return an element of HTML or SVG.

    In the names of attributes, ``_`` stands for ``-``, and a last one for nothing. An
    attribute that is None is left out, one that is True has no value.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Return pieces of markup and text as one piece of markup."""
    return Markup("".join(map(mark, content)))


def mark(text: str) -> Markup:
    """Return text as markup, unless it is markup already."""
    return text if isinstance(text, Markup) else Markup(escape(text))


_VOID = {"br", "meta"}
"""Elements that have no end."""
