"""What people see: one screen that says it all."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from anabranch.api import Agent
from anabranch.plugin.board import show_board
from anabranch.plugin.progress import Pace
from anabranch.plugin.scene import Scene
from anabranch.plugin.screen import describe_scene, show_all, show_measurement
from anabranch.plugin.wording import (
    draw_bar,
    draw_history,
    say_duration,
    say_share,
    say_time,
)
from anabranch.reconcile.decision import decide
from observations import BUCKET, NOW, go_on, read_kind, see, start
from toldrounds import make_told

if TYPE_CHECKING:
    from rich.console import RenderableType

    from anabranch.api import Measurement
    from anabranch.reconcile.observation import Observation


def draw(screen: RenderableType) -> str:
    """What a terminal shows, without colours."""
    out = io.StringIO()
    Console(file=out, width=160).print(screen)
    return out.getvalue()


def read_measurement(seen: Observation) -> Measurement:
    """The Measurement as the operator leaves it."""
    return go_on(seen, decide(seen, BUCKET)).measurement


def test_a_status_is_a_screen() -> None:
    """What the run is at, the agents with their rates, and what is wrong."""
    rounds = (
        make_told("paris", 2, probesSent=250, repliesReceived=125),
        make_told("tokyo", 2, probesSent=100, reason="StoreUnavailable"),
    )
    scene = Scene(read_measurement(start()), rounds, ())
    text = draw(show_measurement(scene, Pace(), NOW))
    assert "Measurement research/" in text
    assert "running" in text
    assert "tool" in text
    assert "Diamond-Miner" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "25.0 %" in lines["paris"]
    assert "50.0 %" in lines["paris"]
    assert "StoreUnavailable" in lines["tokyo"]
    assert "! tokyo: StoreUnavailable: because" in text
    assert "→ see whether the object store answers" in text


def test_a_stuck_run_is_explained_with_the_remedy() -> None:
    """Even if nobody probes yet, and the user may not list Agents."""
    scene = Scene(read_measurement(replace(see(), policy=None)), (), None)
    text = draw(show_measurement(scene, Pace(), NOW))
    assert "NoPolicy" in text
    assert "→ have an admin add the ProbingPolicy" in text
    waits = Scene(read_measurement(see(count=1, minAgents=2)), (), None)
    assert "may not list Agents" in draw(show_measurement(waits, Pace(), NOW))


def test_programs_get_the_same_as_values() -> None:
    """With null where nothing is known."""
    scene = Scene(read_measurement(start()), (make_told(probesSent=5),), ())
    values = describe_scene(scene.measurement, scene, Pace())
    assert values["state"] == "running"
    (agent,) = values["agents"]
    assert (agent["name"], agent["probesSent"], agent["rate"]) == ("paris", 5, None)


def test_an_overview_has_a_line_for_each_object() -> None:
    """Above it, how many agents are ready; below it, what keeps them from probing."""
    agent = read_kind(Agent, "york", {"nodeName": "n9"})
    measurement = read_measurement(start())
    text = draw(show_all([measurement], [], [agent]))
    assert "0 of 1 agents are ready" in text
    assert measurement.metadata.name in text
    assert "! policy: NoPolicy" in text
    assert "! york: Unseen" in text
    assert "no Measurements or Surveys" in draw(show_all([], None, None))


def test_top_shows_who_sends_and_the_sums() -> None:
    """Who has nothing to do is left out unless it is asked for."""
    pace = Pace()
    began = (NOW - timedelta(seconds=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rounds = [
        make_told("paris", probesSent=500, repliesReceived=400, startTime=began),
        make_told("rome", reason="Complete"),
    ]
    pace.note(rounds)
    text = draw(show_board(rounds, pace, NOW, every=False))
    assert "1 of 1 agents send, 50/s of 100/s, 500 probes, 400 replies" in text
    assert "80.0 %" in text
    assert "rome" not in text
    assert "rome" in draw(show_board(rounds, pace, NOW, every=True))
    assert "no agent has anything to do" in draw(show_board([], pace, NOW, every=True))


def test_numbers_are_told_in_words() -> None:
    """Durations by their two largest units."""
    assert say_duration(59.6) == "1 min 00 s"
    assert say_duration(3 * 3600 + 61) == "3 h 01 min"
    assert say_duration(3 * 86400) == "3 d 00 h"
    assert say_duration(None) == ""
    assert say_time(NOW, NOW + timedelta(minutes=2)).endswith("(2 min 00 s ago)")
    assert say_time(NOW, NOW - timedelta(seconds=5)).endswith("(in 5 s)")
    assert say_time(None, NOW) == ""
    assert (say_share(0.125), say_share(None)) == ("12.5 %", "-")
    assert draw_bar(0.5, 4) == "██░░"
    assert draw_history([1, 0, 7, 14], 3) == "▁▅█"
    assert draw_history([0, 0], 3) == "▁▁"
