"""Jobs whose measurement, target list or survey is gone.

Kubernetes does not remove them, because an owner can't be in another namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place

if TYPE_CHECKING:
    from anabranch.reconcile.toolbox import Toolbox


@dataclass(frozen=True)
class Orphans:
    """A reconciler that removes Jobs that work for nobody."""

    tools: Toolbox

    async def reconcile(self, _: str, uid: str) -> float | None:
        """Remove the Jobs of a UID that no measurement, target list or survey has.

        Raises:
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        tools = self.tools
        if tools.inventory.find_by_uid(uid) is None:
            tools.forget(uid)
            for job in tools.inventory.find_jobs(uid).values():
                place = Place("Job", tools.settings.namespace, job.name)
                await tools.objects.delete(place, job.uid)
        return None
