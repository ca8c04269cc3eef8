"""The ProbingPolicy: whether agents obey it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.policy import ProbingPolicyStatus
from anabranch.reconcile.conditions import Conditions

if TYPE_CHECKING:
    from anabranch.reconcile.toolbox import Toolbox


@dataclass(frozen=True)
class Policies:
    """The reconciler of ProbingPolicies."""

    tools: Toolbox

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Report whether a policy counts.

        Raises:
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        tools = self.tools
        found = tools.inventory.policies.get((namespace, name))
        policy = next(iter(found or ()), None)
        if policy is None:
            return None
        policy = tools.recall(policy)
        conditions = Conditions(policy, policy.status.conditions, tools.now())
        system = tools.settings.namespace
        if namespace == system:
            message = "agents obey it"
            conditions.set("Ready", "Obeyed", message)
        else:
            message = f"only the one in namespace {system!r} counts; change that one"
            conditions.set("Ready", "WrongNamespace", message, holds=False)
            conditions.set("Stalled", "WrongNamespace", message)
        status = ProbingPolicyStatus(
            observed_generation=policy.metadata.generation, conditions=conditions.all
        )
        await tools.say(policy, status)
        return None
