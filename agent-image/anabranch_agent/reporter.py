"""Writes the status of a Round."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anabranch.api.resource import API_VERSION
from anabranch.cluster.client import CONFLICT, NOT_FOUND, RefusedError, UnreachableError
from anabranch_agent.backoff import Backoff
from anabranch_agent.demand import Drop, Leave
from anabranch_agent.status import build_status, is_due

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.cluster.client import Cluster
    from anabranch_agent.config import Times
    from anabranch_agent.status import View
    from anabranch_agent.work import Work

_log = logging.getLogger(__name__)
_JITTER = 0.3


@dataclass
class Reporter:
    """A reporter that keeps a Round's status up to date with few writes."""

    run_of: Work
    cluster: Cluster
    times: Times
    clock: Callable[[], float]
    """Monotonic."""
    now: Callable[[], str]
    _written: View | None = None
    _conditions: list[dict[str, Any]] = field(default_factory=list)
    _due: float = 0
    _told: str = ""

    def __post_init__(self) -> None:
        status = self.run_of.measured.status
        self._conditions = [
            condition.model_dump(mode="json", by_alias=True)
            for condition in status.conditions
        ]

    async def run(self) -> None:
        """Write statuses until the last one is written, or nobody needs it."""
        backoff = Backoff(self.times.backoff, self.times.most_backoff)
        while not isinstance(self.run_of.demand, Drop):
            is_last = self.run_of.is_over
            view = self.run_of.view()
            due = self.clock() if is_last else self._due
            if not is_due(view, self._written, self.clock(), due):
                if is_last:
                    return
                await asyncio.sleep(self.times.check)
                continue
            try:
                await self._write(view)
            except (RefusedError, UnreachableError) as error:
                if isinstance(error, RefusedError) and error.status in (
                    CONFLICT,
                    NOT_FOUND,
                ):
                    return  # it is gone, or another one of its name is there
                if isinstance(self.run_of.demand, Leave) and is_last:
                    return  # the next process learns the same from the store
                if not self._told:
                    self._told = str(error)
                    _log.warning("%s: no status written: %s", self.run_of.name, error)
                await asyncio.sleep(backoff.fail())
            else:
                backoff.succeed()
                self._told = ""

    async def _write(self, view: View) -> None:
        measured = self.run_of.measured
        namespace, name = measured.key
        status = build_status(view, self._conditions, self.now())
        # The UID restricts this to this very Round: another of its name may follow.
        metadata = {"uid": measured.metadata.uid}
        await self.cluster.request(
            "PATCH",
            f"/apis/{API_VERSION}/namespaces/{namespace}/rounds/{name}/status",
            query={"fieldManager": "anabranch-agent"},
            body={"metadata": metadata, "status": status},
            content="application/merge-patch+json",
        )
        self._written, self._conditions = view, status["conditions"]
        jitter = random.uniform(1, 1 + _JITTER)  # noqa: S311 (no secret)
        self._due = self.clock() + self.times.status * jitter
