"""All that the operator and agents say of objects, in their own words."""

from __future__ import annotations

import asyncio
import json
import runpy
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from anabranch.api import Agent, ProbingPolicy, Round
from anabranch.api.round import SERVING, ConnectionCounts
from anabranch.api.targetlist import TargetListStatus
from anabranch.cluster.client import CONFLICT, FORBIDDEN, NOT_FOUND, RefusedError
from anabranch.cluster.objects import Objects
from anabranch.manifests.agents import name_pod
from anabranch.manifests.rounds import build_standing_round, name_step
from anabranch.manifests.settings import Settings
from anabranch.reconcile.agent import Agents, decide_agent
from anabranch.reconcile.cycles import find_due
from anabranch.reconcile.decision import RESULTS, decide
from anabranch.reconcile.events import Recorder
from anabranch.reconcile.inventory import Inventory
from anabranch.reconcile.measurement import Measurements
from anabranch.reconcile.observation import (
    CreateStandingRound,
    PutRoster,
    RunCount,
    RunView,
)
from anabranch.reconcile.policy import Policies
from anabranch.reconcile.rehearsal import name_count
from anabranch.reconcile.surveystatus import (
    Obstacle,
    describe_obstacle,
    describe_survey,
)
from anabranch.reconcile.targetlist import ListView, describe_list, find_report
from anabranch.reconcile.toolbox import Toolbox
from anabranch.reconcile.views import PodView
from anabranch.rounds.shortfall import TargetCounts
from anabranch.rounds.steps import FIRST
from anabranch.runs.report import Findings, ListReport, ProbeCount
from anabranch.store.directory import DirectoryStore
from anabranch_agent.parts import Totals
from anabranch_agent.status import View, build_status
from cycleworld import World, make_survey
from helm import CHART
from observations import (
    BUCKET,
    DIGEST,
    NOW,
    SUMMARY,
    go_on,
    make_job,
    make_outcome,
    make_subject,
    read_kind,
    ready,
    see,
    see_aliases,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from anabranch.api.resource import Status
    from anabranch.cluster.client import Cluster
    from anabranch.reconcile.access import Access
    from anabranch.reconcile.observation import Observation

_POD = PodView(
    name="agent",
    uid="pod",
    template="new",
    created_at=NOW,
    phase="Running",
    is_placed=True,
    is_ready=True,
    is_going=False,
    image="agent:1",
    message="",
)
SYSTEM = "research"
"""The namespace of made-up objects, where agents count unless said otherwise."""


@dataclass(frozen=True)
class State:
    """What is said of an object."""

    kind: str
    status: Mapping[str, Any]
    generation: int = 1

    @property
    def reason(self) -> str:
        """The reason of Ready."""
        return self._ready["reason"]

    @property
    def message(self) -> str:
        """The message of Ready."""
        return self._ready["message"]

    @property
    def manifest(self) -> dict[str, Any]:
        """The object, as far as it matters."""
        return {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.reason.lower(), "generation": self.generation},
            "status": self.status,
        }

    @property
    def _ready(self) -> dict[str, str]:
        (found,) = (c for c in self.status["conditions"] if c["type"] == "Ready")
        return cast("dict[str, str]", found)


def list_states(folder: Path) -> list[State]:
    """One for each reason of each kind."""
    return [
        *(_write("Measurement", decide(seen, BUCKET).status) for seen in _survey()),
        *(_write("TargetList", status) for status in _describe_lists()),
        *(_write("Agent", status) for status in _describe_agents()),
        *(_write("Survey", status) for status in _describe_surveys()),
        *(State("Round", status) for status in _describe_rounds()),
        *_reconcile(folder),
        State("Agent", {"observedGeneration": 1} | _say_farewell()),
    ]


def _write(kind: str, status: Status) -> State:
    return State(kind, status.model_dump(mode="json", by_alias=True, exclude_none=True))


def _survey() -> Iterator[Observation]:
    """What is seen of measurements, from all that is in the way to all their ends."""
    yield from _wait()
    yield from _rehearse()
    yield from _run()
    yield from _end()
    yield from _stand()


def _wait() -> Iterator[Observation]:
    seen = see()
    policy = seen.policy
    assert policy
    yield replace(seen, policy=None)
    yield replace(seen, policy=policy.model_copy(update={"stop": True}))
    few = policy.limits.model_copy(update={"max_rounds": 1})
    yield replace(seen, policy=policy.model_copy(update={"limits": few}))
    yield see(agents=[{"name": "nobody", "targetList": "list"}])
    one = {"name": "agent1", "targetList": "list"}
    yield see(agents=[one, {"name": "all", "selector": {}, "targetList": "list"}])
    team = {"name": "team", "selector": {}, "targetList": "list", "division": "shared"}
    yield see(agents=[team | {"name": "agent1"}])
    views = {
        name: replace(
            view,
            agent=read_kind(
                Agent, name, {"nodeName": name, "minTtl": low, "maxTtl": high}
            ),
        )
        for (name, view), low, high in zip(
            seen.agents.items(), (1, 20), (10, 30), strict=True
        )
    }
    yield replace(see(agents=[team]), agents=views)
    spec = {"nodeName": "n1", "allowedNamespaces": ["teaching"]}
    view = replace(seen.agents["agent1"], agent=read_kind(Agent, "agent1", spec))
    yield replace(see(agents=[one]), agents={"agent1": view})
    yield see(minAgents=5)
    yield see(agents=[{"name": "agent1", "targetList": "other"}])
    unready = seen.lists["list"].model_copy(update={"status": TargetListStatus()})
    yield replace(seen, lists={"list": unready})
    yield see(startAt="2026-12-01T00:00:00Z")
    yield see(suspend=True)
    yield replace(seen, run_count=RunCount("research", 1, 1, 0))
    waiting = see(minAgents=5, startDeadlineSeconds=60)
    waiting = go_on(waiting, decide(waiting, BUCKET))
    yield replace(waiting, now=NOW + timedelta(seconds=61))


def _rehearse() -> Iterator[Observation]:
    seen = see(count=1, dryRun=True)
    yield seen
    (put,) = decide(seen, BUCKET).actions
    assert isinstance(put, PutRoster)
    seen = replace(seen, roster=put.roster)
    job = make_job(name_count(seen, "agent1"), fails="the list is too long")
    yield replace(seen, jobs={job.name: job})
    yield replace(seen, counts={"agent1": ProbeCount(targets=10, probes=100)})


def _run() -> Iterator[Observation]:
    yield see()
    seen = start()
    yield seen
    views = {
        name: replace(view, is_ready=False, message="its node is away")
        for name, view in seen.agents.items()
    }
    runs = dict.fromkeys(views, RunView({}, SUMMARY))
    yield replace(seen, agents=views, runs=runs)
    done = RunView({FIRST: make_outcome(FIRST, None)})
    yield replace(seen, runs=dict.fromkeys(views, done))


def _end() -> Iterator[Observation]:
    seen = start()
    done = RunView({FIRST: make_outcome(FIRST, None)})
    cut = RunView({FIRST: make_outcome(FIRST, None, is_cut=True)})
    findings = Findings(7, 9, ("links",))
    both = replace(seen, runs=dict.fromkeys(seen.agents, done))
    yield replace(both, findings=findings)
    job = make_job(name_step(seen.measurement, "", RESULTS), fails="out of memory")
    yield replace(both, jobs={job.name: job})
    one = {"agent1": seen.agents["agent1"]}
    runs = {"agent1": done, "agent2": RunView({}, SUMMARY)}
    yield replace(seen, agents=one, runs=runs, findings=findings)
    yield replace(seen, agents={}, findings=findings)
    nothing = RunView(targets=TargetCounts(0, {"NotAllowed": 1}))
    yield replace(seen, runs=dict.fromkeys(seen.agents, nothing))
    yield replace(seen, runs=dict.fromkeys(seen.agents, cut), findings=findings)
    assert seen.roster
    earlier = seen.roster.model_copy(update={"started": NOW - timedelta(days=1)})
    yield replace(seen, roster=earlier)


def _stand() -> Iterator[Observation]:
    watch = {"source": "kernel", "ports": [443]}
    entry = {"name": "servers", "selector": {}, "connections": watch}
    seen = see(count=1, diamondMiner=None, trace={}, agents=[entry])
    yield seen
    (create,) = decide(seen, BUCKET).actions
    assert isinstance(create, CreateStandingRound)
    manifest = build_standing_round(
        seen.measurement, create.agent, create.standing, create.rate
    )
    del manifest["metadata"]["ownerReferences"]
    manifest["metadata"]["uid"] = "uid"
    found = Round.read(manifest | {"status": ready()})
    yield replace(seen, rounds={found.metadata.name: found})
    entry |= {"connections": {"source": "eventSocket"}}
    yield see(count=1, diamondMiner=None, trace={}, agents=[entry])
    for subject in (
        None,
        make_subject(aliases={"of": "others"}),
        make_subject(complete=False),
    ):
        yield see_aliases(subject)


def _describe_lists() -> Iterator[Status]:
    target_list = see().lists["list"]
    fresh = target_list.model_copy(update={"status": TargetListStatus()})
    reports = (
        None,
        ListReport(digest=DIGEST, lines=1, entries=1, prefixes=1),
        ListReport(reason="it is not text"),
        ListReport(problems=((3, "no prefix"),), problem_count=1),
    )
    for report in reports:
        yield describe_list(fresh, ListView(report), NOW)
    obstacles = [
        "ConfigMapMissing",
        "KeyMissing",
        "ObjectMissing",
        "CheckFailed",
        "WrongSource",
        "NameTaken",
    ]
    for reason in obstacles:
        view = ListView(obstacle=(reason, "what to do"))
        yield describe_list(fresh, view, NOW)


def _describe_surveys() -> Iterator[Status]:
    """What is said of surveys, from what is in their way to cycles that run."""
    world = World(make_survey())
    ledger = world.open_ledger()
    idle = world.observe(ledger)
    yield describe_survey(idle, find_due(idle))
    for reason in ("NameTaken", "MeasurementRefused"):
        yield describe_survey(idle, find_due(idle), Obstacle(reason, "no"))
    yield describe_obstacle(idle.survey, Obstacle("InvalidSchedule", "no"), NOW)
    paused = replace(idle, survey=make_survey(suspend=True))
    yield describe_survey(paused, find_due(paused))
    world.go_on(1)
    busy = world.observe(ledger)
    yield describe_survey(busy, find_due(busy))


def _describe_agents() -> Iterator[Status]:
    agent = see().agents["agent1"].agent
    pods = (
        None,
        _POD,
        replace(_POD, is_ready=False),
        replace(_POD, is_going=True),
        replace(_POD, phase="Failed"),
    )
    for each in pods:
        yield decide_agent(agent, each, "new", 0, NOW).status
    for active in (0, 1):
        old = replace(_POD, template="old")
        yield decide_agent(agent, old, "new", active, NOW).status


def _describe_rounds() -> Iterator[Mapping[str, Any]]:
    view = View(
        generation=1,
        start_time=None,
        completion_time=None,
        block=0,
        parts=0,
        totals=Totals(),
        is_traced=False,
        is_ready=True,
        reason="Probing",
        message="probes are sent",
    )
    held = replace(view, is_ready=False)
    views = (
        view,
        replace(view, reason=SERVING, connections=ConnectionCounts()),
        replace(held, reason="Pending", message="it waits"),
        replace(held, reason="PolicyStop", message="the policy says stop"),
        replace(held, reason="Suspended", message="suspend is true"),
        replace(view, is_complete=True, reason="Complete", message="all is stored"),
        replace(held, is_failed=True, reason="PlanUnusable", message="it is broken"),
    )
    for each in views:
        yield build_status(each, [], "2026-11-24T12:00:00Z")


def _say_farewell() -> dict[str, Any]:
    """What the chart says of an Agent when it goes."""
    script = runpy.run_path(str(CHART / "files" / "end_pods.py"))
    status: dict[str, Any] = script["describe_agent"](NOW)
    return status


@dataclass
class _Elsewhere:
    """An API server that makes nothing, and says why not."""

    refusal: int = CONFLICT
    said: dict[str, Any] = field(default_factory=dict)
    """The last status."""

    async def request(
        self, method: str, path: str, *, body: Any = None, **_: object
    ) -> dict[str, Any]:
        """An answer; of each name that is asked for there is somebody's object."""
        if path.endswith("/status"):
            self.said = body["status"]
        elif "/events" in path:
            if method == "GET":
                raise RefusedError(NOT_FOUND, "not found")
        elif method == "POST":
            raise RefusedError(self.refusal, "no")
        return {"metadata": {}}


class _Closed:
    """A gateway that takes no users."""

    async def admit(self, _: Agent) -> None:
        """Refuses whoever it is."""
        raise OSError("create-user: the gateway says 403")


def _reconcile(folder: Path) -> Iterator[State]:
    """What is said by who has looked around."""
    seen = see()
    views = [view.agent for view in seen.agents.values()]
    agents = {each.key: (each,) for each in views}
    policy = read_kind(ProbingPolicy, "default", {"contact": "me@here"})
    measurement = seen.measurement
    here = Inventory(
        system=SYSTEM,
        measurements={measurement.key: (measurement,)},
        surveys={},
        cycles={},
        agents=agents,
        lists={each.key: (each,) for each in seen.lists.values()},
        policies={policy.key: (policy,)},
        rounds={},
        jobs={},
        pods={},
        nodes={},
    )
    away = replace(here, system="elsewhere")
    twin = read_kind(Agent, "twin", {"nodeName": "n1"})
    crowded = replace(here, agents=agents | {twin.key: (twin,)})
    cases = (
        (Policies, policy, here, CONFLICT),
        (Policies, policy, away, CONFLICT),
        (Agents, views[0], away, CONFLICT),
        (Agents, views[0], here, CONFLICT),
        (Agents, views[0], here, FORBIDDEN),
        (Agents, twin, crowded, CONFLICT),
    )
    for reconciler, about, inventory, refusal in cases:
        server = _Elsewhere(refusal)
        tools = _equip(server, inventory, folder)
        asyncio.run(reconciler(tools).reconcile(*about.key))
        yield State(about.kind, server.said)
    server = _Elsewhere()
    tools = replace(_equip(server, here, folder), access=cast("Access", _Closed()))
    asyncio.run(Agents(tools).reconcile(*views[0].key))
    yield State("Agent", server.said)
    server = _Elsewhere()
    pods = {(SYSTEM, name_pod(each.metadata.name)): (_POD,) for each in views}
    ready_here = replace(here, pods=pods)
    tools = _equip(server, ready_here, folder)
    for each in seen.lists.values():
        key = asyncio.run(find_report(tools, each))
        report = ListReport(digest=each.status.digest or "")
        tools.store.put(key, json.dumps(asdict(report)).encode())
    measurements = Measurements(tools)
    for _ in range(3):  # It says that it starts, puts the roster, and makes a Job.
        asyncio.run(measurements.reconcile(*measurement.key))
    yield State("Measurement", server.said)


def _equip(server: _Elsewhere, inventory: Inventory, folder: Path) -> Toolbox:
    cluster = cast("Cluster", server)
    settings = {
        "namespace": inventory.system,
        "store": {"bucket": BUCKET},
        "jobs": {"image": "operator"},
        "agents": {"image": "agent:1"},
    }
    return Toolbox(
        settings=Settings.read(settings),
        objects=Objects(cluster),
        store=DirectoryStore(folder),
        inventory=inventory,
        recorder=Recorder(cluster, "test", lambda: NOW),
        now=lambda: NOW,
    )
