"""The status of a Round, and when it is written."""

from __future__ import annotations

from dataclasses import replace

from anabranch.api.round import RoundStatus
from anabranch_agent.parts import Totals
from anabranch_agent.status import View, build_status, is_due

VIEW = View(
    generation=3,
    start_time="2026-12-01T00:00:00Z",
    completion_time=None,
    block=1,
    parts=2,
    totals=Totals(sent=100, replies=90, invalid=3, unsent=2, dropped=1),
    is_traced=False,
    is_ready=True,
    reason="Probing",
    message="probes are sent",
)
HELD = replace(VIEW, is_ready=False, reason="PolicyStop", message="it says stop")
NOW, LATER = "2026-12-01T00:00:10Z", "2026-12-01T00:00:20Z"


def conditions(view: View) -> dict[str, str]:
    """The status of each condition."""
    status = build_status(view, [], NOW)
    return {each["type"]: each["status"] for each in status["conditions"]}


def test_a_status_is_one_that_the_kind_knows() -> None:
    """With all that was counted."""
    status = RoundStatus.read(build_status(VIEW, [], NOW))
    assert status.observed_generation == 3
    assert (status.block, status.parts) == (1, 2)
    assert (status.probes_sent, status.replies_received) == (100, 90)
    assert (status.replies_invalid, status.send_errors) == (3, 2)
    assert status.receive_drops == 1
    assert status.completion_time is None
    assert status.policy_generation is None
    obeying = build_status(replace(VIEW, policy=7), [], NOW)
    assert RoundStatus.read(obeying).policy_generation == 7
    assert "startTime" not in build_status(replace(VIEW, start_time=None), [], NOW)


def test_conditions_say_how_it_is() -> None:
    """Those of kstatus are there only where they are true."""
    assert conditions(VIEW) == {
        "Ready": "True",
        "Complete": "False",
        "Reconciling": "True",
    }
    assert conditions(HELD)["Ready"] == "False"
    suspended = replace(HELD, reason="Suspended")
    assert conditions(suspended) == {"Ready": "False", "Complete": "False"}
    complete = replace(VIEW, is_complete=True, reason="Complete")
    assert conditions(complete) == {"Ready": "True", "Complete": "True"}
    failed = replace(HELD, is_failed=True)
    assert conditions(failed) == {
        "Ready": "False",
        "Complete": "False",
        "Failed": "True",
        "Stalled": "True",
    }


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    """Another reason is no turn."""
    first = build_status(VIEW, [], NOW)["conditions"]
    second = build_status(HELD, first, LATER)["conditions"]
    third = build_status(replace(HELD, reason="NoPolicy"), second, "never")[
        "conditions"
    ]
    times = {each["type"]: each["lastTransitionTime"] for each in third}
    assert times == {"Ready": LATER, "Complete": NOW, "Reconciling": NOW}


def test_news_are_written_at_once_and_numbers_when_it_is_time() -> None:
    """And nothing at all where nothing has changed."""
    assert is_due(VIEW, None, now=5, due=10)
    assert not is_due(VIEW, VIEW, now=20, due=10)
    counted = replace(VIEW, totals=Totals(sent=101))
    assert not is_due(counted, VIEW, now=9, due=10)
    assert is_due(counted, VIEW, now=10, due=10)
    assert is_due(HELD, VIEW, now=5, due=10)
    assert is_due(replace(VIEW, generation=4), VIEW, now=5, due=10)
