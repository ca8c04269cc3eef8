"""Tables of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from anabranch.report.markup import element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anabranch.report.markup import Markup

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: its heading, what it says of a row, and its kind.

    Kinds are number, address, words, short, or None for no look of its own.
    """

    heading: str
    say: Callable[[Row], str]
    kind: str | None = "number"


def draw_table(caption: str, columns: list[Column[Row]], rows: Iterable[Row]) -> Markup:
    """Return a table; the first column names the rows."""
    head = [
        element("th", column.heading, scope="col", class_=column.kind)
        for column in columns
    ]
    body = []
    for row in rows:
        first, *others = columns
        cells = [element("th", first.say(row), scope="row", class_=first.kind)]
        cells += [element("td", each.say(row), class_=each.kind) for each in others]
        body.append(element("tr", *cells))
    return _wrap(
        caption, element("thead", element("tr", *head)), element("tbody", *body)
    )


def draw_pairs(caption: str, pairs: Iterable[tuple[str, str]]) -> Markup:
    """Return a table of names and what stands for each."""
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", value, class_="words"),
        )
        for name, value in pairs
    ]
    return _wrap(caption, element("tbody", *rows))


def _wrap(caption: str, *content: Markup) -> Markup:
    table = element("table", element("caption", caption), *content)
    # What scrolls must be within a keyboard's reach.
    return element(
        "div", table, class_="scroll", tabindex=0, role="region", aria_label=caption
    )


def write_number(value: int | None) -> str:
    """Return a number as a table shows it, or an empty text if it is not known."""
    return "" if value is None else f"{value:,}"


def write_share(part: float, whole: float) -> str:
    """Return a share in percent, or an empty text if it is of nothing."""
    return f"{part / whole:.1%}" if whole else ""
