"""What `top` shows: a line for each agent of each run, and the sums; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from anabranch.plugin.progress import Pace, follow_agents
from anabranch.plugin.wording import (
    UNKNOWN,
    draw_bar,
    draw_history,
    say_duration,
    say_rate,
    say_share,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from anabranch.plugin.progress import Progress, Told

_COLUMNS = (
    *("AGENT", "MEASUREMENT", "ROUND", "STATE", "DONE", "", "RATE", "GRANTED", "LAST"),
    *("REPLIES", "ANSWERED", "INVALID", "DROPPED", "LEFT"),
)
_TEXTS = {"AGENT", "MEASUREMENT", "ROUND", "STATE", "DONE", "LAST"}
_BAR, _HISTORY = 12, 12


def show_board(
    rounds: Sequence[Told], pace: Pace, now: datetime, *, every: bool
) -> RenderableType:
    """Show agents that have something to do, or, with ``every``, all that had."""
    agents = [each for each in follow_agents(rounds, pace) if every or not each.is_over]
    sending = [each for each in agents if each.is_sending]
    rate = sum(each.rate or 0.0 for each in sending)
    granted = sum(each.granted for each in agents)
    replies = sum(each.replies for each in agents)
    sent = sum(each.sent for each in agents)
    head = Text.assemble(
        (f"{now:%H:%M:%S} UTC", "dim"),
        f"   {len(sending)} of {len(agents)} agents send, ",
        (say_rate(rate), "bold green"),
        f" of {say_rate(granted)}, ",
        f"{sent:,} probes, {replies:,} replies",
    )
    if not agents:
        return Group(head, "", Text("no agent has anything to do", "dim"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        is_text = column in _TEXTS
        table.add_column(column, justify="left" if is_text else "right", no_wrap=True)
    for each in sorted(agents, key=lambda one: -(one.rate or 0.0)):
        _add(table, each, pace)
    return Group(head, "", table)


def _add(table: Table, each: Progress, pace: Pace) -> None:
    share = each.share
    style = "dim" if each.is_over else "green" if each.is_sending else "yellow"
    table.add_row(
        each.agent,
        each.measurement,
        each.step,
        Text(each.state, style),
        Text("" if share is None else draw_bar(share, _BAR), "cyan"),
        f"{each.done:,}" if share is None else say_share(share),
        say_rate(each.rate),
        say_rate(each.granted) if each.granted else UNKNOWN,
        Text(draw_history(pace.list_rates(each.agent), _HISTORY), "green"),
        f"{each.replies:,}",
        say_share(each.answered),
        _warn(each.invalid),
        _warn(each.dropped),
        say_duration(each.seconds_left),
    )


def _warn(count: int) -> Text:
    return Text(f"{count:,}", "red" if count else "dim")
