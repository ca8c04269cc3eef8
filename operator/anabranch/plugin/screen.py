"""What `status` shows, as text for a terminal and as plain values; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from anabranch.plugin.explanation import explain, explain_policy, find_unready
from anabranch.plugin.progress import Pace, follow_agents
from anabranch.plugin.wording import (
    UNKNOWN,
    draw_bar,
    say_duration,
    say_rate,
    say_share,
    say_time,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from anabranch.api import Agent, Measurement, ProbingPolicy, Survey
    from anabranch.plugin.explanation import Explanation, Trouble
    from anabranch.plugin.progress import Progress
    from anabranch.plugin.scene import Scene

STYLES = {
    "running": "green",
    "complete": "green",
    "waiting": "yellow",
    "suspended": "yellow",
    "unseen": "yellow",
    "stuck": "red",
    "failed": "red",
}
_TOOLS = {
    "diamond_miner": "Diamond-Miner",
    "yarrp": "Yarrp",
    "ping": "ping",
    "trace": "trace",
    "aliases": "alias resolution",
}
_BAR = 16


def show_measurement(scene: Scene, pace: Pace, now: datetime) -> RenderableType:
    """Show a Measurement: how far it is, who probes, what is wrong, what to do."""
    measurement = scene.measurement
    progress = follow_agents(scene.rounds, pace)
    found = explain(measurement, progress, scene.agents)
    parts: list[RenderableType] = [
        _head("Measurement", measurement, found),
        _list_facts(_describe_measurement(measurement, found, now)),
    ]
    if progress:
        parts += ["", show_agents(progress)]
    if scene.agents is None and found.reason == "WaitingForAgents":
        note = "(you may not list Agents, so only the operator's words are shown)"
        parts.append(Text(note, "dim"))
    return Group(*parts, *_show_troubles(found.troubles))


def show_survey(
    survey: Survey, cycle: Scene | None, pace: Pace, now: datetime
) -> RenderableType:
    """Show a Survey, and below it the Measurement of its newest active cycle."""
    found = explain(survey)
    facts = _list_facts(_describe_survey(survey, found, now))
    below = ["", show_measurement(cycle, pace, now)] if cycle else []
    return Group(
        _head("Survey", survey, found), facts, *_show_troubles(found.troubles), *below
    )


def show_all(
    objects: Sequence[Measurement | Survey],
    policies: Sequence[ProbingPolicy] | None,
    agents: Sequence[Agent] | None,
) -> RenderableType:
    """Show a line for each Measurement and Survey, and what keeps agents from probing.

    ``policies`` and ``agents`` are None if the user may not list them.
    """
    troubles: list[Trouble] = []
    parts: list[RenderableType] = []
    if policies is not None:
        trouble = explain_policy(next(iter(policies), None))
        troubles += [trouble] if trouble else []
    if agents is not None:
        bad = find_unready(agents)
        troubles += bad
        ready = f"{len(agents) - len(bad)} of {len(agents)} agents are ready"
        parts += [Text(ready, "red" if bad else "green"), ""]
    table = _table("NAMESPACE", "KIND", "NAME", "STATE", "WHY")
    for each in objects:
        found = explain(each)
        why = found.reason if found.state == "running" else found.message
        table.add_row(
            each.metadata.namespace,
            each.kind,
            each.metadata.name,
            Text(found.state, STYLES[found.state]),
            _shorten(f"{why}"),
        )
    parts.append(table if objects else Text("no Measurements or Surveys", "dim"))
    return Group(*parts, *_show_troubles(troubles))


def show_agents(progress: Iterable[Progress]) -> Table:
    """Show a line for each agent: its step, rates and replies."""
    table = _table(
        "AGENT", "ROUND", "STATE", "DONE", "", *_NUMBERS, "LEFT", right=set(_NUMBERS)
    )
    for each in progress:
        bar = "" if each.share is None else draw_bar(each.share, _BAR)
        table.add_row(
            each.agent,
            each.step,
            Text(each.state, _style(each)),
            Text(bar, "cyan"),
            say_share(each.share) if each.share is not None else f"{each.done:,}",
            f"{each.sent:,}",
            say_rate(each.rate),
            say_rate(each.granted) if each.granted else UNKNOWN,
            f"{each.replies:,}",
            say_share(each.answered),
            say_duration(each.seconds_left),
        )
    return table


_NUMBERS = ("SENT", "RATE", "GRANTED", "REPLIES", "ANSWERED")


def describe_scene(
    measurement: Measurement | Survey, scene: Scene | None, pace: Pace
) -> dict[str, Any]:
    """Return what `status` shows as plain values, for JSON and YAML."""
    progress = follow_agents(scene.rounds, pace) if scene else []
    found = explain(measurement, progress, scene.agents if scene else ())
    return {
        "kind": measurement.kind,
        "namespace": measurement.metadata.namespace,
        "name": measurement.metadata.name,
        "state": found.state,
        "reason": found.reason,
        "message": found.message,
        "troubles": [
            {
                "what": each.what,
                "reason": each.reason,
                "message": each.message,
                "remedy": each.remedy,
            }
            for each in found.troubles
        ],
        "agents": [
            {
                "name": each.agent,
                "measurement": each.measurement,
                "round": each.step,
                "state": each.state,
                "message": each.message,
                "unit": each.unit,
                "done": each.done,
                "planned": each.planned,
                "probesSent": each.sent,
                "repliesReceived": each.replies,
                "rate": each.rate,
                "grantedRate": each.granted,
            }
            for each in progress
        ],
    }


def _describe_measurement(
    measurement: Measurement, found: Explanation, now: datetime
) -> Iterable[tuple[str, str]]:
    spec, status = measurement.spec, measurement.status
    yield "why", f"{found.reason}: {found.message}"
    yield "tool", _name_tool(measurement)
    yield "run", spec.run_id
    if status.start_time is None and spec.start_at:
        yield "starts", say_time(spec.start_at, now)
    yield "started", say_time(status.start_time, now)
    yield "ended", say_time(status.completion_time, now)
    if status.round and not spec.is_standing:
        yield "round", f"{status.round} of at most {spec.max_rounds}"
    if (counts := status.agents) and counts.total:
        yield (
            "agents",
            f"{counts.running} running, {counts.finished} finished, "
            f"{counts.failed} failed, of {counts.total}",
        )
    if targets := status.targets:
        left = f", {targets.left_out:,} left out" if targets.left_out else ""
        yield "targets", f"{targets.probed:,} probed{left}"
        yield "", targets.message or ""
    if (totals := status.totals) and totals.probes:
        answered = say_share(totals.replies / totals.probes)
        text = f"{totals.probes:,} probes, {totals.replies:,} replies ({answered})"
        if totals.links is not None:
            text += f", {totals.nodes or 0:,} interfaces, {totals.links:,} links"
        yield "totals", text
    for shortfall in status.shortfalls:
        yield "but", shortfall.message
    if status.results:
        yield "results", ", ".join(each.name for each in status.results)


def _describe_survey(
    survey: Survey, found: Explanation, now: datetime
) -> Iterable[tuple[str, str]]:
    spec, status = survey.spec, survey.status
    yield "why", f"{found.reason}: {found.message}"
    zone = f" ({spec.time_zone})" if spec.time_zone else ""
    yield "schedule", f"{spec.schedule}{zone}" if spec.schedule else "continuous"
    if status.cycle is not None:
        yield "cycle", f"{status.cycle}, {status.active_count or 0} active"
    yield "last", say_time(status.last_schedule_time, now)
    yield "missed", say_time(status.last_missed_time, now)
    yield "next", say_time(status.next_schedule_time, now)
    yield "should end", say_time(status.expected_end_time, now)
    if ended := status.last_ended:
        how = "succeeded" if ended.succeeded else "failed"
        when = say_time(ended.end_time, now)
        yield "last ended", f"cycle {ended.cycle} {how} at {when}: {ended.message}"


def _name_tool(measurement: Measurement) -> str:
    return next(
        text for name, text in _TOOLS.items() if getattr(measurement.spec, name)
    )


def _head(kind: str, about: Measurement | Survey, found: Explanation) -> Text:
    namespace, name = about.key
    return Text.assemble(
        (f"{kind} ", "dim"),
        (f"{namespace}/{name}", "bold"),
        "  ",
        (found.state, f"bold {STYLES[found.state]}"),
    )


def _list_facts(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in facts:
        if text:
            table.add_row(f"  {name}", Text(text))
    return table


def _show_troubles(troubles: Sequence[Trouble]) -> Iterable[RenderableType]:
    if not troubles:
        return
    yield ""
    for each in troubles:
        what = Text(f"! {each.what}: {each.reason}: {each.message}", "red")
        yield what
        if each.remedy:
            yield Text(f"  → {each.remedy}", "bold")


def _style(progress: Progress) -> str:
    if progress.is_over:
        return "dim"
    return "green" if progress.is_sending else "yellow"


def _shorten(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _table(*columns: str, right: set[str] = frozenset()) -> Table:  # type: ignore[assignment]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", no_wrap=True
        )
    return table
