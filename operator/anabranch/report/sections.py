"""What was asked, and how it went: the sections of a page before what was found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml

from anabranch.api.tool import TOOLS
from anabranch.report.markup import element, join
from anabranch.report.tables import (
    Column,
    draw_pairs,
    draw_table,
    write_number,
    write_share,
)
from anabranch.rounds.tools import face_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.api.measurementspec import MeasurementSpec
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.report.facts import AgentFacts, Facts, RoundFacts
    from anabranch.report.markup import Markup
    from anabranch.runs.record import RunRecord

AGENTS = 100
"""The most agents of a table."""
_MOST_TEXT = 20_000
"""The most characters of the measurement's spec that a page shows."""


def draw_asked(facts: Facts) -> Markup:
    """Return the section that says what was asked."""
    record = facts.record
    parts = [element("h2", "What was asked")]
    if record.is_imported:
        parts.append(
            element(
                "p",
                "This survey was made of files of other tools. Nobody sent its probes "
                "for it, so there was no policy to obey and no rate.",
            )
        )
    tables = [draw_pairs("The measurement", _describe_measurement(facts))]
    if not record.is_imported:
        policy = _describe_policy(record.policy)
        tables.append(draw_pairs("The policy when it started", policy))
    parts.append(element("div", *tables, class_="side"))
    spec = record.measurement.spec.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}\n# … the first {_MOST_TEXT:,} characters"
    parts.append(
        element(
            "details",
            element("summary", "The spec of the measurement, with all defaults"),
            element("pre", text, tabindex=0),
        )
    )
    return element("section", *parts, id="asked")


def _describe_measurement(facts: Facts) -> Iterator[tuple[str, str]]:
    record = facts.record
    spec = record.measurement.spec
    yield "Tool", _describe_tool(spec)
    parameters = spec.tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    told = yaml.safe_dump(parameters, default_flow_style=True, width=_MOST_TEXT)
    yield "Parameters", told.strip().strip("{}")
    if record.is_imported:
        return
    goes_on = face_of(spec.tool).goes_on
    if goes_on or record.tracing:
        yield "Failure probability", f"{spec.failure_probability:g}"
    if goes_on:
        yield "Most rounds", f"{spec.max_rounds:,}"
    entries = [
        f"{entry.name} (list {entry.target_list})" if entry.target_list else entry.name
        for entry in spec.agents[:AGENTS]
    ]
    yield "Entries of agents", ", ".join(entries)
    lists = {agent.record.target_list for agent in facts.agents if agent.record}
    yield "Target lists", ", ".join(sorted(lists)[:AGENTS])


def _describe_tool(spec: MeasurementSpec) -> str:
    names = zip(TOOLS, spec.tools, strict=True)
    name = next(name for name, tool in names if tool is not None)
    return f"{name}: {_TOOLS[name]}"


_TOOLS = {
    "diamondMiner": "multipath discovery in rounds",
    "yarrp": "single paths in random order",
    "ping": "echo requests",
    "trace": "traces of destinations, each probe chosen by the replies before it",
    "aliases": "alias resolution among the interfaces of another measurement",
}
"""The tools in words."""


def _describe_policy(policy: ProbingPolicySpec) -> Iterator[tuple[str, str]]:
    yield "Contact", policy.contact
    yield "Excluded", _count(len(policy.exclusions), "network")
    if policy.allow is not None:
        yield "Allowed", f"{_count(len(policy.allow), 'network')} alone"
    else:
        yield "Allowed", "all that is not excluded"
    yield "Reserved space", "allowed" if policy.allow_reserved else "not allowed"
    if policy.max_rate is not None:
        yield "Highest rate of an agent", f"{policy.max_rate:,} probes/s"
    yield "Highest rate to a target", f"{policy.max_rate_per_prefix:,} probes/s"


def draw_course(facts: Facts) -> Markup:
    """Return the section that says how it went."""
    record = facts.record
    parts = [element("h2", "How it went")]
    if not facts.is_over:
        going = sum(not agent.is_over for agent in facts.agents)
        parts.append(
            element(
                "p",
                f"It is not over: {_count(going, 'agent')} of "
                f"{len(facts.agents):,} had not ended when this page was written. What "
                "follows is of the steps that were concluded.",
            )
        )
    parts.append(_draw_rounds(facts))
    parts.append(_draw_agents(facts))
    parts.append(element("h3", "What was left out"))
    left_out = list(facts.coverage.describe())
    if left_out:
        parts.append(element("ul", *(element("li", text) for text in left_out)))
    elif record.is_imported:
        parts.append(element("p", "Files do not say what was not probed."))
    else:
        parts.append(element("p", "No target and no probe was left out."))
    return element("section", *parts, id="course")


def _draw_rounds(facts: Facts) -> Markup:
    columns: list[Column[RoundFacts]] = [
        Column("Round", lambda row: str(row.number)),
        Column("Agents", lambda row: f"{row.agents:,}"),
        Column("Probes", lambda row: f"{row.probes:,}"),
        Column("Replies", lambda row: f"{row.replies:,}"),
        Column("Answered", lambda row: write_share(row.replies, row.probes)),
        Column("Links found first", lambda row: f"{row.new_links:,}"),
        Column("From", lambda row: write_time(row.span and row.span[0]), "short"),
        Column("To", lambda row: write_time(row.span and row.span[1]), "short"),
    ]
    return draw_table("Rounds, all agents together", columns, facts.rounds)


def _draw_agents(facts: Facts) -> Markup:
    columns: list[Column[AgentFacts]] = [
        Column("Agent", lambda row: row.name, "words"),
        Column("State", _describe_state, "short"),
        Column("Targets", lambda row: write_number(row.coverage.probed)),
        Column("Left out", lambda row: write_number(row.coverage.left_out)),
        Column("Probes", lambda row: f"{row.probes:,}"),
        Column("Replies", lambda row: f"{row.replies:,}"),
        Column("Answered", lambda row: write_share(row.replies, row.probes)),
        Column("Allowed probes/s", lambda row: _write_rate(row.record)),
        Column("Sent probes/s", lambda row: f"{row.rate:,.0f}" if row.rate else ""),
        Column("Links", lambda row: write_number(row.last.links if row.last else None)),
    ]
    caption = "Agents"
    if len(facts.agents) > AGENTS:
        caption = f"The first {AGENTS:,} of {len(facts.agents):,} agents"
    table = draw_table(caption, columns, facts.agents[:AGENTS])
    note = (
        "“Sent” counts the time from the first probe with a reply to the last one, "
        "step by step."
    )
    return join(table, element("p", note, class_="muted"))


def _describe_state(agent: AgentFacts) -> str:
    if agent.last is None:
        return "not begun" if agent.record is None else "in its first step"
    step = next(reversed(agent.outcomes))
    if agent.last.is_cut and agent.is_over:
        return f"stopped in round {step.round}"
    return f"{'ended in' if agent.is_over else 'beyond'} round {step.round}"


def _write_rate(record: RunRecord | None) -> str:
    return "" if record is None or record.is_imported else f"{record.rate:,}"


def write_time(microseconds: int | None) -> str:
    """Return a time in words, or an empty text if it is not known."""
    if not microseconds:
        return ""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
