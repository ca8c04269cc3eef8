"""What a Measurement, a Survey or a cluster is at, why, and what to do; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.survey import Survey
from anabranch.plugin.remedies import find_remedy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anabranch.api import Agent, Measurement, ProbingPolicy
    from anabranch.api.resource import Condition
    from anabranch.plugin.progress import Progress

_ENDS = (
    ("Failed", "failed"),
    ("Complete", "complete"),
    ("Suspended", "suspended"),
    ("Stalled", "stuck"),
)
_WAITING = {"NotYet", "Starting", "Counting", "Scheduled"}


@dataclass(frozen=True)
class Trouble:
    """Something that keeps a survey, or a part of it, from going on."""

    what: str
    """Who or what is concerned."""
    reason: str
    message: str
    remedy: str | None


@dataclass(frozen=True)
class Explanation:
    """What an object is at."""

    state: str
    """One word: running, waiting, stuck, suspended, complete or failed; unseen if the
    operator has not looked at it."""
    reason: str
    message: str
    troubles: tuple[Trouble, ...] = ()


def explain(
    about: Measurement | Survey,
    progress: Iterable[Progress] = (),
    agents: Iterable[Agent] | None = (),
) -> Explanation:
    """Explain a Measurement or a Survey by its status, and by what agents say."""
    name = about.metadata.name
    ready = about.find_condition("Ready")
    if ready is None:
        message = (
            "the operator has not looked at the present spec yet; if that lasts, see "
            "kubectl anabranch status"
        )
        return Explanation("unseen", "Unseen", message)
    state = _find_state(about, ready)
    troubles = []
    if state in {"stuck", "failed", "suspended"} or ready.status != "True":
        remedy = find_remedy(ready.reason, name)
        troubles.append(Trouble(name, ready.reason, ready.message, remedy))
    if not isinstance(about, Survey):
        troubles += [
            Trouble(bad.name, "Unhealthy", bad.reason, None)
            for bad in about.status.unhealthy_agents
        ]
    if state not in {"complete", "failed", "suspended"}:
        troubles += _find_held(name, progress)
        if ready.reason in {"WaitingForAgents", "AgentsUnavailable"}:
            troubles += find_unready(agents or ())
    return Explanation(state, ready.reason, ready.message, tuple(troubles))


def find_unready(agents: Iterable[Agent]) -> list[Trouble]:
    """Return which Agents are not ready, and why."""
    found = []
    for agent in agents:
        ready = agent.find_condition("Ready")
        if ready is None:
            message = "the operator has not looked at it yet"
            found.append(Trouble(agent.metadata.name, "Unseen", message, None))
        elif ready.status != "True":
            remedy = find_remedy(ready.reason)
            found.append(
                Trouble(agent.metadata.name, ready.reason, ready.message, remedy)
            )
    return found


def explain_policy(policy: ProbingPolicy | None) -> Trouble | None:
    """Return why the policy lets nothing be sent, or None if it does not."""
    if policy is None:
        message = "there is no ProbingPolicy default, and without one nothing is sent"
        return Trouble("policy", "NoPolicy", message, find_remedy("NoPolicy"))
    if policy.spec.stop:
        message = "the ProbingPolicy stops all probing"
        remedy = find_remedy("ProbingStopped")
        return Trouble("policy", "ProbingStopped", message, remedy)
    if policy.spec.allow == ():
        message = "the ProbingPolicy's allow list is empty: nothing may be probed"
        remedy = "have an admin add networks to allow"
        return Trouble("policy", "NothingAllowed", message, remedy)
    return None


def _find_state(about: Measurement | Survey, ready: Condition) -> str:
    for kind, state in _ENDS:
        if about.holds(kind):
            return state
    if ready.status != "True" or ready.reason in _WAITING:
        return "waiting"
    return "running"


def _find_held(name: str, progress: Iterable[Progress]) -> list[Trouble]:
    return [
        Trouble(each.agent, each.state, each.message, find_remedy(each.state, name))
        for each in progress
        if not each.is_over and not each.is_sending
    ]
