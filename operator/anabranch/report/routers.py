"""What alias resolution found: the section about routers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.report.markup import element
from anabranch.report.tables import Column, draw_table, write_share

if TYPE_CHECKING:
    from anabranch.report.markup import Markup
    from anabranch.warehouse.routers import RouterStatistics, Row

_CHANGES = {
    "no change": "No change",
    "one smaller": "One smaller diamond",
    "several smaller": "Several smaller diamonds",
    "straight path": "A straight path",
}
"""What diamonds become, in the order of the table."""
_VERDICTS = ("accept", "reject", "undetermined")


def draw_routers(found: RouterStatistics) -> Markup:
    """Return the section about routers."""
    about = (
        "Alias resolution compares the addresses of each hop of a trace two by two. "
        "Those that are accepted as interfaces of one router make a router; one whose "
        "own pairs a test rejects is in conflict, and counts as separate addresses."
    )
    parts = [element("h2", "Routers"), element("p", about), _draw_pairs(found.pairs)]
    if found.sizes:
        parts.append(
            element(
                "div",
                _draw_sizes(found),
                _draw_largest(found.largest),
                class_="side",
            )
        )
    if found.conflicts:
        sets = f"{found.conflicts:,} set{'' if found.conflicts == 1 else 's'}"
        parts.append(element("p", f"{sets} of addresses in conflict are left out."))
    if found.changes:
        parts.append(_draw_changes(found.changes))
    return element("section", *parts, id="routers")


def _draw_pairs(pairs: list[Row]) -> Markup:
    total = sum(row["pairs"] for row in pairs)
    rows = sorted(pairs, key=lambda row: _VERDICTS.index(row["verdict"]))
    columns: list[Column[Row]] = [
        Column("Verdict", lambda row: row["verdict"], "short"),
        Column("By", lambda row: row["test"] or "no test", "words"),
        Column("Pairs", lambda row: f"{row['pairs']:,}"),
        Column("Share", lambda row: write_share(row["pairs"], total)),
    ]
    return draw_table("Pairs of addresses of a hop", columns, rows)


def _draw_sizes(found: RouterStatistics) -> Markup:
    columns: list[Column[Row]] = [
        Column("Addresses", lambda row: f"{row['addresses']:,}"),
        Column("Routers", lambda row: f"{row['routers']:,}"),
        Column("Share", lambda row: write_share(row["routers"], found.count)),
    ]
    return draw_table("Routers with several addresses", columns, found.sizes)


def _draw_largest(largest: list[Row]) -> Markup:
    columns: list[Column[Row]] = [
        Column("Lowest address", lambda row: row["router_addr"], "address"),
        Column("Addresses", lambda row: f"{row['addresses']:,}"),
    ]
    return draw_table("The routers with the most addresses", columns, largest)


def _draw_changes(changes: dict[str, Row]) -> Markup:
    sums = {
        counted: sum(row[counted] for row in changes.values())
        for counted in ("measured", "distinct")
    }

    def tell(counted: str) -> list[Column[str]]:
        def count(name: str) -> int:
            return int(changes.get(name, {}).get(counted, 0))

        return [
            Column(counted.capitalize(), lambda name: f"{count(name):,}"),
            Column("Share", lambda name: write_share(count(name), sums[counted])),
        ]

    columns: list[Column[str]] = [
        Column("Between routers", lambda name: _CHANGES[name], None),
        *tell("measured"),
        *tell("distinct"),
    ]
    return draw_table("What diamonds become", columns, _CHANGES)
