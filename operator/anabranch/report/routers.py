"""What alias resolution found: the section about routers."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from anabranch.report.charts import draw_cdf, draw_heat_map
from anabranch.report.distributions import (
    METRICS,
    draw_figure,
    draw_key,
    draw_metric,
    draw_quantiles,
    read_points,
)
from anabranch.report.markup import element, join
from anabranch.report.tables import Column, draw_table, write_share
from anabranch.warehouse.routers import PAPER, PAPER_SHARES

if TYPE_CHECKING:
    from anabranch.report.facts import DiamondFacts
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


def draw_routers(
    found: RouterStatistics, before: DiamondFacts | None, after: DiamondFacts | None
) -> Markup:
    """Return the section about routers.

    The statistics of diamonds are those between addresses, and those between routers.
    """
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
        parts.append(_draw_cdf_of_sizes(found))
    if found.conflicts:
        sets = f"{found.conflicts:,} set{'' if found.conflicts == 1 else 's'}"
        parts.append(element("p", f"{sets} of addresses in conflict are left out."))
        parts.append(_draw_torn(found.torn))
    if found.changes:
        parts.append(_draw_changes(found.changes))
    if before and before.distributions and after:
        parts.append(_compare(before, after, found.widths))
    return element("section", *parts, id="routers")


def _compare(before: DiamondFacts, after: DiamondFacts, widths: list[Row]) -> Markup:
    """Draw the distributions of measured diamonds before and after."""
    points = read_points(before.distributions), read_points(after.distributions)
    series = {
        metric: {
            name: its[metric]["measured"]
            for name, its in zip(_LEVELS, points, strict=True)
        }
        for metric in METRICS
    }
    charts = [
        draw_metric(
            metric, its, "interfaces, or routers" if metric == "max_width" else ""
        )
        for metric, its in series.items()
    ]
    if widths:
        charts.append(_draw_widths(widths))
    return join(
        element("h3", "Diamonds between routers"),
        draw_quantiles("The metrics of diamonds between routers, in numbers", points[1])
        if after.distributions
        else element("p", "No diamonds are left between routers."),
        draw_key(_LEVELS),
        element("div", *charts, class_="charts"),
    )


def _draw_widths(widths: list[Row]) -> Markup:
    """Draw how wide the diamonds that change were, and how wide they become."""
    counts = {
        (row["max_width"], row["router_max_width"]): row["diamonds"] for row in widths
    }
    (wide, narrow), most = max(counts.items(), key=lambda item: (item[1], item[0]))
    return draw_figure(
        "Width before and after, of diamonds that change",
        "Shares in percent; routers up, interfaces across",
        draw_heat_map(
            "Max width of measured diamonds that change, before and after: most often "
            f"from {wide} to {narrow} ({most / sum(counts.values()):.0%}).",
            ("interfaces wide", "routers wide"),
            counts,
        ),
    )


_LEVELS = {
    "before": "measured diamonds between interfaces",
    "after": "between routers",
}
"""What the lines of the charts stand for."""


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


def _draw_cdf_of_sizes(found: RouterStatistics) -> Markup:
    """Draw the distribution of sizes, and say what the paper found."""
    sums = accumulate(row["routers"] for row in found.sizes)
    points = [
        (row["addresses"], total / found.count)
        for row, total in zip(found.sizes, sums, strict=True)
    ]

    def share(most: int) -> float:
        return max((part for size, part in points if size <= most), default=0)

    told = ", ".join(
        f"{share(most):.0%} have {words} ({PAPER_SHARES[most]:.0%} in {PAPER})"
        for most, words in ((2, "two addresses"), (10, "up to ten"))
    )
    chart = draw_cdf(
        f"Sizes of routers: {told}.", "addresses", {"measured": points}, is_whole=True
    )
    return draw_figure("Sizes of routers", told, chart)


def _draw_largest(largest: list[Row]) -> Markup:
    columns: list[Column[Row]] = [
        Column("Lowest address", lambda row: row["router_addr"], "address"),
        Column("Addresses", lambda row: f"{row['addresses']:,}"),
    ]
    return draw_table("The routers with the most addresses", columns, largest)


def _draw_torn(torn: list[Row]) -> Markup:
    columns: list[Column[Row]] = [
        Column("Lowest address of the set", lambda row: row["router_addr"], "address"),
        Column("Rejected", lambda row: row["first_addr"], "address"),
        Column("And", lambda row: row["second_addr"], "address"),
        Column("By", lambda row: row["test"], "words"),
        Column("At hop", lambda row: str(row["ttl"])),
        Column("On the way to", lambda row: row["prefix"], "address"),
        Column("Traces", lambda row: f"{row['traces']:,}"),
    ]
    return draw_table("Pairs that set addresses in conflict", columns, torn)


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
