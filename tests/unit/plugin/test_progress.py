"""How far agents are, and how fast, by what Rounds tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from anabranch.plugin.progress import Pace, find_written, follow_agents
from observations import DIGEST, NOW
from toldrounds import make_told

SECOND = timedelta(seconds=1)


def test_a_rate_is_between_two_reports() -> None:
    """However often somebody looks; before, it is the mean since the start."""
    pace = Pace()
    began = (NOW - 10 * SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
    first = make_told(probesSent=500, startTime=began)
    pace.note([first])
    pace.note([first])
    assert pace.find_rate(first) == 50
    second = make_told(probesSent=1500, startTime=began, written=NOW + 10 * SECOND)
    pace.note([second])
    assert pace.find_rate(second) == 100
    assert pace.list_rates("paris") == [50, 100]
    held = make_told(
        probesSent=1500, reason="StoreUnavailable", written=NOW + 12 * SECOND
    )
    assert pace.find_rate(held) == 0


def test_an_agent_is_at_its_newest_step() -> None:
    """Its earlier Rounds do not count any more, and windows have numbers."""
    rounds = [
        make_told(number=1, window=1, reason="Complete", probesSent=1000),
        make_told(number=1, window=0, reason="Complete", probesSent=900),
        make_told("tokyo", number=3, probesSent=250, repliesReceived=200),
    ]
    paris, tokyo = follow_agents(rounds, Pace())
    assert (paris.step, paris.is_over, paris.share) == ("1.2", True, 1)
    assert (tokyo.step, tokyo.share, tokyo.answered) == ("3", 0.25, 0.8)
    assert tokyo.is_sending
    assert tokyo.measurement == "research/demo"
    assert tokyo.seconds_left is None


def test_the_hand_outs_of_a_team_are_added_up() -> None:
    """Each is some blocks of the plan that all share."""
    rounds = [
        make_told(
            number=2,
            reason=reason,
            spec={"team": "all", "handOut": number, "blocks": [number]},
            probesSent=sent,
        )
        for number, reason, sent in ((1, "Complete", 250), (2, "Probing", 50))
    ]
    (told,) = follow_agents(rounds, Pace())
    assert (told.done, told.planned, told.granted) == (300, 500, 100)
    assert (told.state, told.is_over) == ("Probing", False)


def test_what_is_passed_over_is_done_with() -> None:
    """A complete Round is at its end, though it sent fewer probes than planned."""
    (told,) = follow_agents([make_told(reason="Complete", probesSent=10)], Pace())
    assert told.share == 1


def test_destinations_and_connections_count_as_themselves() -> None:
    """A measurement that stands has no end to work towards."""
    plan = {"key": "k", "digest": DIGEST, "blocks": 1, "destinations": 50}
    traced = make_told(spec={"plan": plan}, destinationsTraced=20, probesSent=999)
    (told,) = follow_agents([traced], Pace())
    assert (told.unit, told.done, told.planned) == ("destinations", 20, 50)
    connections = {"source": "kernel", "ports": [443]}
    standing: dict[str, Any] = {
        "plan": None,
        "standing": {
            "connections": connections,
            "trace": {},
            "failureProbability": 0.05,
        },
    }
    serving = make_told(
        spec=standing, reason="Serving", connections={"traced": 7, "copied": 3}
    )
    (told,) = follow_agents([serving], Pace())
    assert (told.unit, told.done, told.share) == ("connections", 10, None)


def test_a_status_was_written_when_the_api_server_says() -> None:
    """By the newest of the entries about the status."""
    fields = [
        {"time": "2026-11-24T13:00:00Z"},
        {"subresource": "status", "time": "2026-11-24T11:59:00Z"},
        {"subresource": "status", "time": "2026-11-24T12:00:00Z"},
    ]
    assert find_written({"metadata": {"managedFields": fields}}) == NOW
    assert find_written({"metadata": {}}) is None
