"""What to do about each reason that a Measurement, Round, Agent or Survey gives."""

from __future__ import annotations

_CORRECT = "correct spec.agents, or have an admin allow the namespace"
_AGAIN = "repair what the message names, then: kubectl anabranch rerun NAME"

REMEDIES = {
    # Of Measurements.
    "NoPolicy": "have an admin add the ProbingPolicy default in the system namespace",
    "ProbingStopped": "have an admin set stop: false in the ProbingPolicy",
    "PolicyLimit": "ask for less than the ProbingPolicy's limits",
    "QuotaExceeded": "wait, it goes on by itself; or have an admin raise the "
    "namespace's quota in the ProbingPolicy's limits",
    "TeamNameTaken": "give the team another name",
    "TeamImpossible": "divide the entry of spec.agents",
    "AgentMissing": _CORRECT,
    "AgentTwice": _CORRECT,
    "AgentNotAllowed": _CORRECT,
    "EventSocketMissing": "have an admin set the Agent's eventSocket, or take the "
    "source kernel",
    "WaitingForAgents": "see why agents are not ready: kubectl get agents "
    "--all-namespaces",
    "AgentsUnavailable": "wait, or see kubectl get agents --all-namespaces: the run "
    "goes on when an agent is ready",
    "TargetListMissing": "make the TargetList, or correct spec.agents",
    "TargetListNotReady": "see kubectl describe targetlist",
    "SubjectMissing": "make the Measurement, or correct spec.aliases.of",
    "SubjectUnusable": "let spec.aliases.of name a Measurement of another tool",
    "SubjectNotComplete": "wait for the Measurement that spec.aliases.of names; if it "
    "has failed, run it again",
    "AgentsFailed": _AGAIN,
    "ResultsFailed": _AGAIN,
    "NoTargets": "list other targets, or have an admin change what the message names, "
    "then: kubectl anabranch rerun NAME",
    "DeadlineExceeded": "raise activeDeadlineSeconds, then: kubectl anabranch rerun "
    "NAME",
    "StartDeadlineExceeded": "raise startDeadlineSeconds, then: kubectl anabranch "
    "rerun NAME",
    "RunIdUsed": "run it under another runId: kubectl anabranch rerun NAME --run-id ID",
    "NameTaken": "remove or rename the object that the message names",
    "Refused": "change what the message names",
    "Suspended": "when it is to go on: kubectl anabranch resume NAME",
    # Of Surveys.
    "InvalidSchedule": "correct spec.schedule or spec.timeZone",
    "MeasurementRefused": "change spec.measurementTemplate, or what refuses it",
    # Of Rounds.
    "PolicyStop": "have an admin set stop: false in the ProbingPolicy",
    "PolicyInvalid": "have an admin correct the ProbingPolicy",
    "PolicyUnknown": "see whether the agent reaches the API server: kubectl anabranch "
    "logs NAME",
    "NamespaceNotAllowed": "have an admin add the namespace to the Agent's "
    "allowedNamespaces",
    "NoAgent": "have an admin make the Agent again",
    "AgentInvalid": "have an admin correct the Agent",
    "LeaseLost": "wait: the agent sends again when it holds its Lease; if that takes "
    "minutes, see kubectl anabranch logs NAME",
    "StoreRefuses": "see why the object store takes no user of the agent; the operator "
    "tries again by itself",
    "StoreUnavailable": "see whether the object store answers: kubectl anabranch logs "
    "NAME",
    "ProbingError": "see kubectl anabranch logs NAME",
    "AgentStopped": "wait for the agent's next pod",
    "EventsUnavailable": "start tcp-info on the agent's node, or correct the Agent's "
    "eventSocket",
    "QueueUnavailable": "see kubectl anabranch logs NAME",
    "PlanDigestMismatch": "run it again: kubectl anabranch rerun NAME",
    "PlanUnusable": "run it again: kubectl anabranch rerun NAME",
    "PartsBroken": "run it again: kubectl anabranch rerun NAME",
    # Of Agents.
    "PodNotReady": "see kubectl describe pod in the system namespace",
    "PodForbidden": "label the system namespace "
    "pod-security.kubernetes.io/enforce=privileged",
    "NodeTaken": "remove one of the node's two Agents",
    "WrongNamespace": "move it to the system namespace",
    "Uninstalled": "install the chart again",
}
"""The remedy of each reason that has one; NAME is that of the object."""

ROUTINE = {
    *("NotYet", "Started", "Running", "Gathering", "Starting", "Serving", "Counting"),
    *("Completed", "PartlyComplete", "DryRun", "InProgress"),
    *("Pending", "Probing", "Storing", "Ending", "Complete"),
    "Scheduled",
    *("PodReady", "Draining", "PodEnded", "PodMissing", "PodEnding", "Replacing"),
}
"""Reasons that ask nobody to do anything."""


def find_remedy(reason: str, name: str = "NAME") -> str | None:
    """Return what to do about a reason of an object, or None if there is nothing."""
    remedy = REMEDIES.get(reason)
    return remedy and remedy.replace("NAME", name)
