"""Jobs whose measurement or list is gone: owners can't be of other namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.cluster.objects import Place

if TYPE_CHECKING:
    from anabranch.reconcile.toolbox import Toolbox


@dataclass(frozen=True)
class Orphans:
    """Removes Jobs that work for nobody."""

    tools: Toolbox

    async def reconcile(self, _: str, uid: str) -> float | None:
        """Removes the Jobs of a UID that no measurement or target list has.

        Raises:
            RefusedError: When the API server does not do it.
            UnreachableError: When the API server can't be reached.
        """
        tools = self.tools
        if tools.inventory.find_by_uid(uid) is None:
            tools.forget(uid)
            for job in tools.inventory.find_jobs(uid).values():
                place = Place("Job", tools.settings.namespace, job.name)
                await tools.objects.delete(place, job.uid)
        return None
