"""The display of a survey's progress: a live table in a terminal, else plain lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from anabranch.local.agentrun import State
from anabranch.rounds.tools import Unit

if TYPE_CHECKING:
    from typing import Self, TextIO

    from anabranch.local.agentrun import Progress

_LINE_SECONDS = 10
_COLUMNS = ("agent", "round", "state", "sent", "rate", "replies", "links", "left")


class Display(Protocol):
    """A display of progress, which may be updated as often as the caller likes."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, agents: list[Progress]) -> None:
        """Show the present progress of the agents."""


def open_display(out: TextIO) -> Display:
    """Open the display that suits an output."""
    console = Console(file=out)
    return _Table(console) if console.is_terminal else _Lines(out)


def estimate_seconds(agent: Progress) -> float | None:
    """Estimate the seconds until the step is sent; None if that is impossible."""
    if agent.state != State.PROBING or agent.pace <= 0:
        return None
    return max(agent.planned - agent.done, 0) / agent.pace


def describe_seconds(seconds: float | None) -> str:
    """Return a duration in words; the empty string for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def describe_step(agent: Progress) -> str:
    """Return the round, with the window if it is the first round."""
    step = agent.step
    return f"{step.round}.{step.window + 1}" if step.round == 1 else str(step.round)


def _describe_traces(agent: Progress) -> str:
    if agent.unit is Unit.PROBE or not agent.planned:
        return ""
    return f"{agent.done:,} of {agent.planned:,} destinations, "


class _Table:
    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, agents: list[Progress]) -> None:
        table = Table(box=None, pad_edge=False)
        for column in _COLUMNS:
            right = column in {"sent", "rate", "replies", "links", "left"}
            table.add_column(column, justify="right" if right else "left")
        table.add_column("", width=20)
        for agent in agents:
            share = agent.done / agent.planned if agent.planned else 0
            table.add_row(
                agent.name,
                describe_step(agent),
                agent.state.value,
                f"{agent.sent + agent.step_sent:,}",
                f"{agent.rate:,.0f}/s",
                f"{agent.replies:,}",
                f"{agent.links:,}",
                describe_seconds(estimate_seconds(agent)),
                ProgressBar(total=1, completed=share),
            )
        self._live.update(table, refresh=True)


class _Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: dict[str, tuple[object, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()

    def show(self, agents: list[Progress]) -> None:
        now = time.monotonic()
        for agent in agents:
            state = (agent.step, agent.state)
            before, at = self._told.get(agent.name, (None, 0))
            if state == before and now < at + _LINE_SECONDS:
                continue
            self._told[agent.name] = (state, now)
            left = describe_seconds(estimate_seconds(agent))
            print(
                f"{agent.name}: round {describe_step(agent)} {agent.state.value}, "
                f"{_describe_traces(agent)}{agent.sent + agent.step_sent:,} probes, "
                f"{agent.replies:,} replies, "
                f"{agent.links:,} links{left and f', {left} left'}",
                file=self._out,
                flush=True,
            )
