"""The agent: it watches what it should do, and gets it done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any

from anabranch.api.annotation import name_objects
from anabranch.cluster.client import RefusedError, UnreachableError
from anabranch.connections.archive import Naming
from anabranch.connections.hops import open_annotator
from anabranch.connections.service import Probing, Service
from anabranch.connections.storing import Shelf
from anabranch.rounds.rates import share_rate
from anabranch.rounds.steps import Step
from anabranch.store.keys import RunKeys
from anabranch_agent.clienttally import ClientTally
from anabranch_agent.crew import Crew
from anabranch_agent.deadman import DeadMan
from anabranch_agent.demand import Hold
from anabranch_agent.depot import Depot, HandOut
from anabranch_agent.governor import Governor
from anabranch_agent.health import Health, serve
from anabranch_agent.knowledge import Knowledge
from anabranch_agent.lease import LeaseKeeper
from anabranch_agent.metrics import AgentCollector, Gauges, Tally, make_registry
from anabranch_agent.policy import (
    choose_demand,
    count_steps,
    is_over,
)
from anabranch_agent.queues import Queues
from anabranch_agent.reporter import Reporter
from anabranch_agent.roundrun import RoundRun
from anabranch_agent.shift import Books
from anabranch_agent.standingrun import StandingRun
from anabranch_agent.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.api import Round
    from anabranch.api.connections import Standing
    from anabranch.cluster.client import Cluster
    from anabranch.store.store import Store
    from anabranch_agent.config import Config, Times
    from anabranch_agent.demand import Demand, Probe
    from anabranch_agent.work import Work

_log = logging.getLogger(__name__)
_SICK_SECONDS = 30
"""Seconds for which the loop may be busy before the process counts as hung."""


def now() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class AgentProcess:
    """One agent, from its start to its end."""

    def __init__(
        self, config: Config, times: Times, cluster: Cluster, store: Store
    ) -> None:
        self._config = config
        self._times = times
        self._cluster = cluster
        self._store = store
        self._clock = time.monotonic
        self._news = asyncio.Event()
        self._beat = self._clock()
        self._is_clean = False
        self._was_held = False
        self._registry = make_registry()
        self._registry.register(AgentCollector(self._look, version("anabranch")))
        self._tally = Tally(self._registry)
        self._books = Books(self._tally, ClientTally(self._registry))
        self._deadman = DeadMan(times.lease)
        self._governor = Governor(self._deadman, self._clock)
        self._knowledge = Knowledge(
            config, cluster, times, clock=self._clock, changed=self._news.set
        )
        self._lease = LeaseKeeper(
            cluster=cluster,
            namespace=config.namespace,
            agent=config.agent,
            holder=config.pod_uid,
            deadman=self._deadman,
            changed=self._news.set,
            clock=self._clock,
            wall_clock=lambda: datetime.now(UTC),
            times=times,
            owner=self._knowledge.find_owner,
        )
        failure = asyncio.get_running_loop().create_future()
        self._crew = Crew(self._start, failure)
        self._queues = Queues(config.scratch, store, times, time.time)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; then store everything and leave.

        Raises:
            BaseException: Any unexpected error. The process should be started anew.
        """
        health = Health(self._find_sickness, self._find_unreadiness, self._registry)
        watcher = Thread(
            target=self._governor.watch, args=(self._times.check,), daemon=True
        )
        watches = [watch.run() for watch in self._knowledge.watches]
        watches.append(self._knowledge.check_policy(self._times.renew))
        lease = asyncio.ensure_future(self._lease.run())
        direct = asyncio.ensure_future(self._direct())
        tasks = {lease, direct, self._crew.failure}
        tasks.update(map(asyncio.ensure_future, watches))
        stop = asyncio.ensure_future(stopping.wait())
        with serve(health, self._config.host_ip, self._config.health_port):
            watcher.start()
            try:
                await self._await_first({stop, *tasks})
                _log.info("stopping")
                direct.cancel()
                leave = asyncio.ensure_future(self._crew.leave(self._times.stop))
                await self._await_first({leave, lease, self._crew.failure})
                if not leave.result():
                    _log.warning("not everything could be stored in time")
            finally:
                self._governor.close()
                for task in tasks:
                    task.cancel()
            await asyncio.wait(tasks, timeout=self._times.request)
            try:
                await self._lease.release()
            except (RefusedError, UnreachableError) as error:
                _log.warning("Lease: not released: %s", error)

    @staticmethod
    async def _await_first(tasks: set[asyncio.Future[Any]]) -> None:
        """Wait for one of the tasks; raise what it raised."""
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _direct(self) -> None:
        """Act whenever something has changed, and at regular intervals."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.check):
                    await self._news.wait()
            self._news.clear()
            self._beat = self._clock()
            if self._knowledge.is_whole:
                for run in self._crew.runs.values():
                    if run.is_probing:
                        run.look()
                self._follow()
                self._share()

    def _follow(self) -> None:
        """Pass on what is wanted of each Round."""
        rules, policy = self._knowledge.find_rules(), self._knowledge.policy_generation
        lost, paused = self._find_lost(), self._find_pause()
        wanted: dict[str, tuple[Round, Demand]] = {}
        for uid, measured in self._knowledge.list_rounds().items():
            if uid in self._crew.runs or not is_over(measured):
                demand = choose_demand(measured, rules, lost, paused, policy)
                wanted[uid] = (measured, demand)
        self._crew.follow(wanted)
        if not self._is_clean:
            self._clean(wanted)
            self._is_clean = True

    def _share(self) -> None:
        """Give each Round that is probed its share of the rate."""
        rules = self._knowledge.find_rules()
        if isinstance(rules, Hold):
            self._governor.stop()
            return
        total = 0 if self._find_pause() else rules.total
        wanted = {
            uid: run.measured.spec.rate
            for uid, run in self._crew.runs.items()
            if run.is_probing
        }
        idle = [uid for uid in wanted if self._crew.runs[uid].is_idle]
        if len(idle) < len(wanted):
            # They leave their shares to the others, but for what lets them begin.
            wanted |= dict.fromkeys(idle, 1)
        probed = {uid: self._crew.runs[uid] for uid in wanted}
        ending = {uid: run.pace for uid, run in probed.items() if run.is_ending}
        steps = count_steps(run.measured for run in probed.values())
        self._governor.grant(
            share_rate(total, wanted, ending), rules.per_prefix / max(steps, 1)
        )

    def _find_lost(self) -> Hold | None:
        """Return why the agent may not work at all, or None if it may."""
        if other := self._lease.other:
            return Hold("LeaseLost", f"{other} holds the agent's Lease")
        self._was_held |= self._deadman.is_held(self._clock())
        if not self._was_held:
            return Hold("LeaseLost", "the agent's Lease is not held yet")
        return None

    def _find_pause(self) -> Hold | None:
        """Return why nothing may be sent for now, or None if probes may be sent."""
        if not self._deadman.is_held(self._clock()):
            return Hold("LeaseLost", "the agent's Lease could not be renewed")
        age = self._knowledge.policy_age()
        if age is None or age > self._times.lease:
            return Hold("PolicyUnknown", "the policy may have changed unseen")
        waiting = sum(run.waiting_bytes for run in self._crew.runs.values())
        if waiting > self._config.waiting_bytes:
            return Hold("StoreUnavailable", f"{waiting} bytes wait for the store")
        return None

    def _start(self, measured: Round, demand: Demand) -> tuple[Work, Reporter]:
        standing = measured.spec.standing
        run: Work = (
            self._stand(measured, standing, demand)
            if standing
            else self._probe(measured, demand)
        )
        return run, Reporter(run, self._cluster, self._times, self._clock, now)

    def _stand(
        self, measured: Round, standing: Standing, demand: Demand
    ) -> StandingRun:
        spec, name = measured.spec, measured.spec.measurement.name
        queue = self._queues.find(measured)
        queue.rounds += 1
        shelf = Shelf(
            connections=standing.connections,
            folder=queue.folder,
            naming=Naming(
                agent=spec.agent,
                experiment=standing.connections.experiment or name,
                version=version("anabranch"),
            ),
            store=self._store,
            root=RunKeys(spec.measurement.uid, spec.run_id, spec.agent).archives,
        )

        def make(probe: Probe) -> Service:
            limits = probe.limits
            return Service(
                standing=standing,
                shelf=shelf,
                probing=Probing(
                    rate=0,
                    max_rate_per_prefix=1,
                    forbidden=probe.forbidden,
                    min_ttl=limits.min_ttl,
                    max_ttl=limits.max_ttl,
                    contact=limits.contact,
                    interface=limits.interface,
                    sources=tuple(map(str, limits.sources)),
                ),
                event_socket=self._config.event_socket,
                annotator=open_annotator(
                    self._config.annotation_socket,
                    name_objects(standing.annotate_from),
                    self._store,
                    shelf.folder,
                ),
                ended=self._books.clients.observe,
            )

        return StandingRun(
            measured=measured,
            folder=shelf.folder,
            queue=queue,
            make=make,
            give_up=lambda: shelf.give_up(time.time()),
            governor=self._governor,
            books=self._books,
            times=self._times,
            now=now,
            changed=self._news.set,
            demand=demand,
        )

    def _probe(self, measured: Round, demand: Demand) -> RoundRun:
        spec = measured.spec
        owner = spec.team or spec.agent
        keys = RunKeys(spec.measurement.uid, spec.run_id, owner)
        step = keys.step(Step(spec.round, spec.window))
        folder = self._config.scratch / measured.metadata.uid
        depot = Depot(
            self._store,
            step,
            self._times.patience,
            self._tally.measure,
            hand_out=HandOut(spec.hand_out, spec.blocks) if spec.team else None,
        )
        uploads = Uploads(folder / "parts", depot, self._tally.add_part)
        return RoundRun(
            measured=measured,
            folder=folder,
            depot=depot,
            uploads=uploads,
            governor=self._governor,
            tally=self._tally,
            times=self._times,
            now=now,
            changed=self._news.set,
            demand=demand,
        )

    def _clean(self, wanted: Mapping[str, object]) -> None:
        """Remove what an earlier process left of Rounds that are gone.

        What waits in queues is stored first, which may take a while.
        """
        self._config.scratch.mkdir(parents=True, exist_ok=True)
        for folder in self._config.scratch.iterdir():
            if not folder.is_dir() or folder.name in wanted:
                continue
            if queue := self._queues.find_in(folder):
                self._crew.tend(self._queues.settle_left(queue))
            else:
                shutil.rmtree(folder)

    def _look(self) -> Gauges:
        runs = list(self._crew.runs.values())
        return Gauges(
            probing_rate=self._governor.rate,
            granted_rate=self._governor.granted,
            lease_age=self._deadman.age(self._clock()),
            policy_age=self._knowledge.policy_age(),
            parts_waiting=sum(run.waiting_files for run in runs),
            bytes_waiting=sum(run.waiting_bytes for run in runs),
            bytes_limit=self._config.waiting_bytes,
            active_rounds=sum(run.is_probing for run in runs),
            standing_rounds=sum(
                run.is_probing and run.measured.spec.standing is not None
                for run in runs
            ),
            held_rounds=Counter(
                hold.reason
                for run in runs
                if not run.is_over and (hold := run.find_hold())
            ),
        )

    def _find_sickness(self) -> str:
        late = self._clock() - self._beat
        return f"nothing was done for {late:.0f} s" if late > _SICK_SECONDS else ""

    def _find_unreadiness(self) -> str:
        if not self._knowledge.is_whole:
            return "not all objects have been seen yet"
        if not self._deadman.is_held(self._clock()):
            return "the Lease is not held"
        return ""
