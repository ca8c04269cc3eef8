"""The page of a report: one file that needs no other, and no network."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from anabranch.report.findings import draw_diamonds, draw_graphs, draw_links
from anabranch.report.graphs import encode
from anabranch.report.markup import Markup, element
from anabranch.report.routers import draw_routers
from anabranch.report.sections import draw_asked, draw_course, write_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.report.facts import Facts


def write_page(facts: Facts) -> str:
    """Return the page as text."""
    record = facts.record
    name, style, script = record.measurement.metadata.name, _read("style.css"), ""
    if facts.graphs:
        script = _read("graph.js")
    # Only this style and this script have an effect, and nothing is ever fetched.
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{name}: report of run {record.measurement.spec.run_id}"),
        element("style", Markup(style)),
    )
    body = [
        _draw_head(facts),
        element(
            "main",
            draw_asked(facts),
            draw_course(facts),
            draw_links(facts),
            draw_diamonds(facts),
            _draw_routers(facts),
            draw_graphs(facts.graphs),
        ),
        element(
            "footer",
            element("p", f"Written by anabranch {facts.version}. Times are in UTC."),
        ),
    ]
    if facts.graphs:
        data = Markup(encode(facts.graphs))
        body.append(element("script", data, id="graphs", type="application/json"))
        body.append(element("script", Markup(script)))
    page = element("html", head, element("body", *body), lang="en")
    return f"<!doctype html>\n{page}\n"


def _draw_routers(facts: Facts) -> Markup:
    if facts.routers is None:
        return Markup()
    return draw_routers(facts.routers, facts.diamonds, facts.router_diamonds)


def _read(name: str) -> str:
    return resources.files("anabranch.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return the source that a content security policy knows a text by."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _draw_head(facts: Facts) -> Markup:
    record = facts.record
    metadata = record.measurement.metadata
    counts = [
        element(
            "div",
            element("dt", name),
            element("dd", number, element("small", note) if note else ""),
        )
        for name, number, note in _count(facts)
    ]
    missing = {
        key
        for key, is_there in (("drawings", facts.graphs), ("routers", facts.routers))
        if not is_there
    }
    links = [
        element("a", name, href=f"#{key}")
        for key, name in _SECTIONS.items()
        if key not in missing
    ]
    return element(
        "header",
        element("p", "Survey report", class_="muted"),
        element("h1", metadata.name),
        element("p", ", ".join(_describe(facts)), class_="muted"),
        element("dl", *counts, class_="counts"),
        element("nav", *links, aria_label="Contents"),
    )


_SECTIONS = {
    "asked": "What was asked",
    "course": "How it went",
    "links": "Interfaces and links",
    "diamonds": "Diamonds",
    "routers": "Routers",
    "drawings": "Graphs",
}
"""The sections, by their places in the page."""


def _describe(facts: Facts) -> Iterator[str]:
    record = facts.record
    yield f"namespace {record.measurement.metadata.namespace}"
    yield f"run {record.measurement.spec.run_id}"
    yield f"{len(facts.agents):,} agent{'' if len(facts.agents) == 1 else 's'}"
    if facts.span:
        first, last = map(write_time, facts.span)
        yield f"{first} to {last} UTC"
    if not facts.is_over:
        yield "not over yet"


def _count(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """Yield the name, number and note of what there is to count."""
    probes = sum(agent.probes for agent in facts.agents)
    replies = sum(agent.replies for agent in facts.agents)
    coverage = facts.coverage
    if coverage.probed is not None:
        note = f"{coverage.left_out:,} left out" if coverage.left_out else ""
        yield "Targets", f"{coverage.probed:,}", note or _of_all(facts)
    yield "Probes", f"{probes:,}", ""
    yield "Replies", f"{replies:,}", f"{replies / probes:.1%}" if probes else ""
    yield "Interfaces", f"{facts.found['interfaces']:,}", ""
    yield "Links", f"{facts.found['links']:,}", ""
    if facts.diamonds:
        kinds = facts.diamonds.kinds
        distinct = f"{kinds['distinct']['diamonds']:,} distinct"
        yield "Diamonds", f"{kinds['measured']['diamonds']:,}", distinct
    if facts.routers:
        yield "Routers", f"{facts.routers.count:,}", "with several addresses"


def _of_all(facts: Facts) -> str:
    return "of all agents together" if len(facts.agents) > 1 else ""
