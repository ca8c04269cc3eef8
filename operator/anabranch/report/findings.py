"""What was found: the sections of a page with counts, distributions and graphs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from anabranch.report.charts import draw_heat_map, draw_histogram
from anabranch.report.distributions import (
    COUNTED,
    METRICS,
    describe,
    draw_figure,
    draw_key,
    draw_metric,
    draw_quantiles,
    read_points,
    write_value,
)
from anabranch.report.graphs import AGENTS, DIAMONDS, LINKS, PROTOCOLS
from anabranch.report.markup import Markup, element, join
from anabranch.report.tables import Column, draw_table, write_share
from anabranch.warehouse.routers import group_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anabranch.report.facts import DiamondFacts, Facts
    from anabranch.report.graphs import Graph

    Row = dict[str, Any]


def draw_links(facts: Facts) -> Markup:
    """Return the section about interfaces and links."""
    parts = [element("h2", "Interfaces and links")]
    if facts.missing_links is not None:
        parts.append(element("p", _tell_missing(facts.missing_links)))
    if facts.ends:
        parts.append(_draw_ends(facts.ends))
    if facts.hubs:
        parts.append(_draw_hubs(facts.hubs))
    else:
        parts.append(element("p", "No links were found."))
    return element("section", *parts, id="links")


def _tell_missing(links: int) -> str:
    return (
        f"By what flows have shown, load balancers have at least some {links:,} more "
        "links, which no flow has crossed. This estimate assumes that flows choose "
        "evenly."
    )


def _draw_ends(ends: Sequence[Row]) -> Markup:
    traces = sum(row["traces"] for row in ends)
    columns: list[Column[Row]] = [
        Column("Ended by", lambda row: row["end_reason"], None),
        Column("Traces", lambda row: f"{row['traces']:,}"),
        Column("Share", lambda row: write_share(row["traces"], traces)),
        Column("Went over to the MDA", lambda row: f"{row['switched']:,}"),
        Column("Probes", lambda row: f"{row['probes']:,}"),
        Column("Probes a trace", lambda row: f"{row['probes'] / row['traces']:,.1f}"),
    ]
    return draw_table("How traces ended", columns, ends)


def _draw_hubs(hubs: Sequence[Row]) -> Markup:
    columns: list[Column[Row]] = [
        Column("Interface", lambda row: row["addr"], "address"),
        Column("Next hops", lambda row: f"{row['next_hops']:,}"),
        Column("TTL", lambda row: _write_range(row["min_ttl"], row["max_ttl"])),
        Column("Agents", lambda row: f"{row['agents']:,}"),
        Column("Flows", lambda row: f"{row['flows']:,}"),
    ]
    return draw_table("Interfaces with the most next hops", columns, hubs)


def _write_range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def draw_diamonds(facts: Facts) -> Markup:
    """Return the section about diamonds."""
    heading = element("h2", "Diamonds")
    found = facts.diamonds
    if found is None or not found.kinds["measured"]["diamonds"]:
        none = element("p", "No diamonds were found.")
        return element("section", heading, none, id="diamonds")
    about = (
        "A diamond lies between two interfaces that all flows pass, a divergence and a "
        "convergence point. Each one that an agent met on the way to a target is "
        "measured; all with the same two points are one distinct diamond, of which "
        "each metric is the largest known. Where links are missing, width asymmetry, "
        "probability difference and the ratio of meshed hops are not known."
    )
    return element(
        "section",
        heading,
        element("p", about),
        _draw_kinds(found),
        element("h3", "Distributions"),
        _draw_distributions(found),
        element("h3", "The largest"),
        _draw_ranked("The widest", found.widest),
        _draw_ranked("Those met most often", found.commonest),
        id="diamonds",
    )


def _draw_kinds(found: DiamondFacts) -> Markup:
    names = {
        "diamonds": "All",
        "simplest": "Two interfaces wide and two hops long",
        "whole": "With all metrics known",
        "asymmetric": "Of these: asymmetric in width",
        "meshed": "Of these: meshed",
        "lopsided": "Of these: asymmetric, and not meshed",
    }
    measured, distinct = (found.kinds[counted] for counted in COUNTED)
    columns: list[Column[str]] = [
        Column("Diamonds", lambda kind: names[kind], None),
        Column("Measured", lambda kind: f"{measured[kind]:,}"),
        Column("Share", lambda kind: write_share(measured[kind], measured[_of(kind)])),
        Column("Distinct", lambda kind: f"{distinct[kind]:,}"),
        Column("Share", lambda kind: write_share(distinct[kind], distinct[_of(kind)])),
    ]
    return draw_table("How many diamonds there are", columns, names)


def _of(kind: str) -> str:
    """Return the kind of which a kind is a share."""
    return "diamonds" if kind in {"diamonds", "simplest", "whole"} else "whole"


def _draw_distributions(found: DiamondFacts) -> Markup:
    points = read_points(found.distributions)
    charts = [
        draw_figure(
            f"{METRICS[metric][0]}, measured diamonds",
            "The number of diamonds",
            draw_histogram(
                describe(metric, {"measured": points[metric]["measured"]}),
                METRICS[metric][1],
                _count_values(found, metric),
            ),
        )
        for metric in ("max_width", "max_length")
    ]
    cdfs = [draw_metric(metric, points[metric]) for metric in METRICS]
    maps = [
        draw_figure(
            f"Length and width, {counted} diamonds",
            "Shares in percent; width up, length across",
            draw_heat_map(
                f"Max length and max width of {counted} diamonds: "
                + _describe_sizes(sizes),
                ("hops long", "interfaces wide"),
                sizes,
            ),
        )
        for counted in COUNTED
        if (sizes := _read_sizes(found, counted))
    ]
    return join(
        draw_quantiles("The metrics of diamonds, in numbers", points),
        draw_key({name: f"{name} diamonds" for name in COUNTED}),
        element("div", *cdfs, *charts, *maps, class_="charts"),
    )


def _count_values(found: DiamondFacts, metric: str) -> dict[int, int]:
    """Return how many measured diamonds have which value."""
    return {
        int(row["value"]): row["diamonds"]
        for row in found.distributions
        if (row["counted"], row["metric"]) == ("measured", metric)
    }


def _read_sizes(found: DiamondFacts, counted: str) -> dict[tuple[int, int], int]:
    return {
        (row["max_length"], row["max_width"]): row["diamonds"]
        for row in found.sizes
        if row["counted"] == counted
    }


def _describe_sizes(sizes: dict[tuple[int, int], int]) -> str:
    (length, width), most = max(sizes.items(), key=lambda item: (item[1], item[0]))
    share = most / sum(sizes.values())
    return f"most often {length} hops long and {width} interfaces wide ({share:.0%})."


def _draw_ranked(caption: str, diamonds: Sequence[Row]) -> Markup:
    columns: list[Column[tuple[int, Row]]] = [
        Column("#", lambda row: str(row[0])),
        Column("Divergence", lambda row: row[1]["divergence_addr"], "address"),
        Column("Convergence", lambda row: row[1]["convergence_addr"], "address"),
        Column("Width", lambda row: f"{row[1]['max_width']:,}"),
        Column("Length", lambda row: f"{row[1]['max_length']:,}"),
        Column("Asymmetry", lambda row: write_value(row[1]["width_asymmetry"])),
        Column("Meshed", lambda row: write_value(row[1]["meshed_ratio"])),
        Column("Difference", lambda row: write_value(row[1]["probability_difference"])),
        Column("Met", lambda row: f"{row[1]['encounters']:,}"),
        Column("As by", lambda row: row[1]["agent"], None),
        Column("On the way to", lambda row: row[1]["prefix"], "address"),
        Column("By", lambda row: str(PROTOCOLS.get(row[1]["protocol"], "")), None),
    ]
    return draw_table(caption, columns, enumerate(diamonds, 1))


def draw_graphs(graphs: Sequence[Graph]) -> Markup:
    """Return the section in which the reader draws graphs."""
    if not graphs:
        return Markup()
    about = (
        "Choose what is drawn. Choose an interface to see which links lead to it and "
        f"on from it. This page has the {DIAMONDS} widest diamonds at most, the paths "
        f"of {AGENTS} agents to one target, and of each graph the {LINKS:,} links with "
        "the most flows, however large the survey is."
    )
    choices = []
    for group, its in groupby(enumerate(graphs), key=lambda pair: pair[1].group):
        buttons = [
            element("button", graph.name, type="button", data_graph=number)
            for number, graph in its
        ]
        legend = element("legend", group)
        choices.append(element("fieldset", legend, *buttons, class_="choices"))
    if any(group_addresses(graph.router_of) for graph in graphs):
        levels = [
            element("button", name.capitalize(), type="button", data_level=name)
            for name in ("interfaces", "routers")
        ]
        legend = element("legend", "Nodes are")
        choices.append(element("fieldset", legend, *levels, class_="choices"))
    drawing = element(
        "figure",
        element("figcaption", "", id="drawn"),
        element("p", "", id="told", class_="told", role="status"),
        element("div", "", id="canvas", class_="canvas"),
        class_="drawing",
    )
    silent = element("noscript", element("p", "Drawing takes JavaScript."))
    return element(
        "section",
        element("h2", "Graphs"),
        element("p", about),
        silent,
        *choices,
        drawing,
        id="drawings",
    )
