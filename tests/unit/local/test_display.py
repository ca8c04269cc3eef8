"""How far a survey is, in a terminal and elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from anabranch.local import display
from anabranch.local.agentrun import Progress, State
from anabranch.local.display import describe_seconds, estimate_seconds, open_display
from anabranch.rounds.steps import Step

AGENT = Progress(
    "paris",
    state=State.PROBING,
    step=Step(1, 2),
    planned=10_000,
    done=4_000,
    step_sent=4_000,
    sent=100_000,
    replies=90_000,
    links=1_234,
    rate=100,
    pace=100,
)


def test_elsewhere_a_line_comes_when_something_changes() -> None:
    """Not each time that it is asked for."""
    out = io.StringIO()
    with open_display(out) as lines:
        lines.show([AGENT])
        lines.show([AGENT])
        done = Progress("paris", state=State.DONE, step=Step(3))
        lines.show([done])
    assert out.getvalue().splitlines() == [
        "paris: round 1.3 probing, 104,000 probes, 90,000 replies, 1,234 links, "
        "1 min 00 s left",
        "paris: round 3 done, 0 probes, 0 replies, 0 links",
    ]


def test_that_replies_are_waited_for_is_told() -> None:
    """Nothing is sent meanwhile, and no time for it is left."""
    out = io.StringIO()
    waiting = replace(AGENT, state=State.WAITING, step_sent=10_000, rate=0, pace=0)
    with open_display(out) as lines:
        lines.show([AGENT])
        lines.show([waiting])
    assert out.getvalue().splitlines()[1] == (
        "paris: round 1.3 waiting for replies, 110,000 probes, 90,000 replies, 1,234 "
        "links"
    )


def test_a_terminal_has_a_row_for_each_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is sent, the rate, and the time that is left."""
    out = io.StringIO()

    def make(file: io.StringIO) -> Console:
        return Console(file=file, force_terminal=True, width=120)

    monkeypatch.setattr(display, "Console", make)
    with open_display(out) as table:
        table.show([AGENT, Progress("tokyo")])
    shown = out.getvalue()
    words = ("paris", "1.3", "probing", "104,000", "100/s", "1,234", "1 min 00 s")
    assert all(word in shown for word in (*words, "tokyo", "planning"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.4, "0 s"), (61, "1 min 01 s"), (7_260, "2 h 01 min")],
)
def test_times_are_for_people(seconds: float | None, words: str) -> None:
    """And absent where they are unknown."""
    assert describe_seconds(seconds) == words


def test_the_time_left_is_known_while_probes_are_sent() -> None:
    """And at no other time."""
    assert estimate_seconds(AGENT) == 60
    assert estimate_seconds(Progress("paris")) is None
