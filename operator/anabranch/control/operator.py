"""The operator's life: it waits for what it needs, leads, and ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import kopf

from anabranch.api import KINDS
from anabranch.api.resource import API_VERSION
from anabranch.cluster.client import NOT_FOUND, RefusedError, UnreachableError
from anabranch.cluster.objects import Objects, Place
from anabranch.control.census import Progress
from anabranch.control.election import Election
from anabranch.control.health import Health
from anabranch.control.metrics import Looks, OperatorCollector, make_registry
from anabranch.control.queue import WorkQueue
from anabranch.control.watch import Watches, make_settings
from anabranch.reconcile.access import Access
from anabranch.reconcile.agent import Agents
from anabranch.reconcile.enrolment import Enrolment
from anabranch.reconcile.events import Recorder
from anabranch.reconcile.measurement import Measurements
from anabranch.reconcile.orphans import Orphans
from anabranch.reconcile.policy import Policies
from anabranch.reconcile.survey import Surveys
from anabranch.reconcile.targetlist import TargetLists
from anabranch.reconcile.toolbox import Toolbox
from anabranch.store.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from prometheus_client import CollectorRegistry

    from anabranch.cluster.client import Cluster
    from anabranch.control.watch import Key
    from anabranch.manifests.settings import Settings
    from anabranch.reconcile.inventory import Inventory
    from anabranch.reconcile.quotas import Quotas
    from anabranch.store.s3 import S3Store

    Reconcile = Callable[[str, str], Awaitable[float | None]]

_log = logging.getLogger(__name__)
_WORKERS = 8
_RESYNC_SECONDS = 600.0
_RETRY_SECONDS = 3.0
_FILL_SECONDS = 0.1
_LOOKS_AT_ONE_LIST = 100
_SETTLE_SECONDS = 10.0
"""How late a watch may report a change."""
_SICK_SECONDS = 300.0
"""How long something may be due before a restart is worth a try."""
_KINDS = "the CustomResourceDefinitions"
_OBJECTS = "the objects"
_STORE = "the object store"
_ABSENT = "not there yet"


class MissedError(Exception):
    """A mismatch: the inventory has objects that the cluster has not."""


@dataclass
class Operator:
    """One operator process."""

    settings: Settings
    cluster: Cluster
    store: S3Store
    identity: str
    """The name that distinguishes it from other operator processes."""
    port: int = 8080
    """The port of its health and metrics."""
    watches: Watches = field(init=False)
    queue: WorkQueue[Key] = field(init=False)
    registry: CollectorRegistry = field(default_factory=make_registry)
    """The metrics for Prometheus."""
    _reconcilers: Mapping[str, Reconcile] = field(default_factory=dict)
    _hindrances: dict[str, str] = field(default_factory=lambda: {_KINDS: _ABSENT})
    """Why it can't do its work yet, by what it waits for."""
    _quotas: Quotas | None = None
    """What namespaces have done of what they may, once all objects are known."""
    _is_leading: bool = False

    def __post_init__(self) -> None:
        settings, clock = self.settings, time.monotonic
        self.queue = WorkQueue(self._reconcile, clock, Looks(self.registry).note)
        self.registry.register(
            OperatorCollector(
                version("anabranch"),
                self.queue,
                self._find_inventory,
                lambda: self._is_leading,
                Progress(clock),
                lambda: self._quotas,
                _tell_time,
            )
        )
        self.watches = Watches(
            settings.namespace,
            self.queue.add,
            watch_nodes=settings.agents.enrol is not None,
        )

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Errors come in an exception group.

        Raises:
            LostError: When another operator may lead by now; this process must end.
            MissedError: When the watches missed that objects were deleted.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        health = Health(self._find_sickness, self._find_hindrance, self.registry)
        runner = await health.serve(self.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                live = tasks.create_task(self._live(stop))
                await stop.wait()
                live.cancel()
        finally:
            await runner.cleanup()

    async def _live(self, stop: asyncio.Event) -> None:
        await self._wait_for(_KINDS, self._find_kinds)
        election = Election(
            self.cluster, self.settings.namespace, self.identity, time.monotonic
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                # Who stands by watches, too, and so knows all objects once it leads.
                tasks.create_task(self._watch(stop))
                await election.win()
                self._is_leading = True
                self._hindrances |= {_OBJECTS: _ABSENT, _STORE: _ABSENT}
                tasks.create_task(election.hold())
                tasks.create_task(self._work())
                tasks.create_task(self._wait_for(_STORE, self._make_bucket))
        finally:
            self._is_leading = False
            if stop.is_set():
                with suppress(RefusedError, UnreachableError):
                    await election.release()  # Others can wait for it to run out.

    async def _wait_for(
        self, what: str, attempt: Callable[[], Awaitable[None]]
    ) -> None:
        """Try something until it succeeds."""
        while True:
            try:
                await attempt()
            except (OSError, RefusedError, UnreachableError) as error:
                if self._hindrances.get(what) != str(error):
                    _log.warning("waiting for %s: %s", what, error)
                self._hindrances[what] = str(error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._hindrances.pop(what, None)
                return

    async def _find_kinds(self) -> None:
        """Check that the API server has all of our kinds.

        Raises:
            RefusedError: When it lacks one.
        """
        answer = await self.cluster.request("GET", f"/apis/{API_VERSION}")
        there = {each["name"] for each in answer["resources"]}
        missing = [kind.plural for kind in KINDS if kind.plural not in there]
        if missing:
            raise RefusedError(NOT_FOUND, f"no {', '.join(missing)}; apply the CRDs")

    async def _make_bucket(self) -> None:
        await asyncio.to_thread(self.store.create_bucket)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Run kopf, whose events fill the inventory."""
        where = self.settings.served_namespaces
        await kopf.operator(
            registry=self.watches.registry,
            settings=make_settings(),
            clusterwide=not where,
            namespaces=where,
            stop_flag=asyncio.Event(),
            # Otherwise kopf asks for this user's name, and a container has none.
            identity=self.identity,  # type: ignore[arg-type]
        )
        stop.set()  # Kopf takes the signals for itself, and only they end it.

    async def _work(self) -> None:
        """Work on all objects, and on what happens to them, once all are known."""
        await self._fill_inventory()
        self._hindrances.pop(_OBJECTS)
        self._reconcilers = self._equip()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.queue.run(_WORKERS))
            tasks.create_task(self._resync())

    async def _fill_inventory(self) -> None:
        """Wait until the watches have told of all objects that the cluster has."""
        while True:
            there: set[str] = set()
            for place, selector in self._list_places():
                note = partial(self._note_there, there, place, selector)
                await self._wait_for(f"the list of {place.kind}s", note)
            # They are listed again, since those that go meanwhile are never told of.
            for _ in range(_LOOKS_AT_ONE_LIST):
                if self.watches.open(there):
                    return
                await asyncio.sleep(_FILL_SECONDS)

    async def _resync(self) -> None:
        """Queue all objects from time to time, since watches may miss changes.

        Raises:
            MissedError: When watches missed that objects were deleted. This happens if
                the watches were broken then: nothing reports the deletion later.
        """
        while True:
            await asyncio.sleep(_RESYNC_SECONDS)
            if missed := await self._find_missed():
                await asyncio.sleep(_SETTLE_SECONDS)
                if missed & await self._find_missed():
                    raise MissedError(f"watches missed {len(missed)} deletions")
            self.watches.add_all()

    async def _find_missed(self) -> set[str]:
        """Return the UIDs of objects in the inventory that the cluster lacks."""
        known, there = self.watches.list_known(), set[str]()
        try:
            for place, selector in self._list_places():
                await self._note_there(there, place, selector)
        except (RefusedError, UnreachableError) as error:
            _log.warning("objects can't be compared: %s", error)
            return set()
        return known - there

    def _list_places(self) -> Iterator[tuple[Place, str]]:
        """Yield where objects are that are watched, with their label selectors."""
        for kind, selector in self.watches.kinds:
            served = self.settings.served_namespaces or ("",)
            for namespace in served if kind != "Node" else ("",):
                yield Place(kind, namespace), selector

    async def _note_there(self, there: set[str], place: Place, selector: str) -> None:
        """Add the UIDs of the objects in a place."""
        found = await Objects(self.cluster).list(place, selector)
        there |= {each["metadata"]["uid"] for each in found}

    async def _reconcile(self, key: Key) -> float | None:
        kind, namespace, name = key
        reconcile = self._reconcilers.get(kind)
        return await reconcile(namespace, name) if reconcile else None

    def _equip(self) -> Mapping[str, Reconcile]:
        settings, objects = self.settings, Objects(self.cluster)
        inventory, access = self.watches.inventory, None
        if settings.store.is_gateway:
            gateway = Gateway(self.store)
            access = Access.open(settings, objects, inventory, gateway)
            settings = access.settings
        tools = Toolbox(
            settings=settings,
            objects=objects,
            store=self.store,
            inventory=inventory,
            access=access,
            recorder=Recorder(self.cluster, self.identity, _tell_time),
            now=_tell_time,
        )
        measurements = Measurements(tools)
        self._quotas = measurements.quotas
        return {
            "Measurement": measurements.reconcile,
            "Survey": Surveys(tools).reconcile,
            "Agent": Agents(tools).reconcile,
            "TargetList": TargetLists(tools).reconcile,
            "ProbingPolicy": Policies(tools).reconcile,
            "Node": Enrolment(tools).reconcile,
            "Orphans": Orphans(tools).reconcile,
        }

    def _find_inventory(self) -> Inventory | None:
        """Return the objects; None until all are known."""
        return self.watches.inventory if self._reconcilers else None

    def _find_hindrance(self) -> str:
        return "; ".join(f"{what}: {why}" for what, why in self._hindrances.items())

    def _find_sickness(self) -> str:
        lag = self.queue.lag
        if lag > _SICK_SECONDS:
            return f"an object has been due for {lag:.0f} s without a full look"
        return ""


def _tell_time() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
