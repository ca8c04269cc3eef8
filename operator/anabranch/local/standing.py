"""A standing measurement on this machine: its agents, each in a thread."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import Agent
from anabranch.api.annotation import name_objects
from anabranch.api.connections import Standing
from anabranch.api.references import select_agents
from anabranch.connections.archive import Naming
from anabranch.connections.hops import FileAnnotator, open_annotator
from anabranch.connections.queuefile import explain
from anabranch.connections.service import Probing, Service
from anabranch.connections.storing import Shelf
from anabranch.local.assignment import RunError, find_network
from anabranch.local.datalock import lock_data
from anabranch.rounds.closed import find_forbidden
from anabranch.runs.record import choose_rate
from anabranch.store.keys import RunKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anabranch_engine import Statistics

    from anabranch.api import Measurement
    from anabranch.api.connections import Connections
    from anabranch.api.manifest import Manifests
    from anabranch.api.measurementspec import MeasurementAgent
    from anabranch.api.policy import ProbingPolicySpec
    from anabranch.connections.counts import Counts
    from anabranch.connections.hops import Annotator
    from anabranch.local.policyfile import PolicyFiles
    from anabranch.store.directory import DirectoryStore

_LOOK_SECONDS = 0.2
_POLICY_SECONDS = 1.0
_STOPPED = "the ProbingPolicy stops all probing; set its stop to false"
_LAWLESS = "there is no ProbingPolicy any more, and nothing is sent without one; add it"
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET."""


@dataclass(eq=False)
class Post:
    """An agent that traces clients."""

    measurement: str
    """The UID of the measurement in the store."""
    agent: Agent
    entry: MeasurementAgent
    service: Service
    network: Path | None
    statistics: Statistics
    error: BaseException | None = None
    hold: str = ""
    """Why it may send nothing, if it may not."""

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.metadata.name

    @property
    def counts(self) -> Counts:
        """What it has done, and what waits."""
        return self.service.counts

    @property
    def trouble(self) -> str:
        """What keeps it from its work; nothing if all is well."""
        return self.hold or self.service.trouble

    def obey(self, policy: ProbingPolicySpec | None) -> None:
        """Obey a policy from now on; send nothing without one or if it says stop."""
        if policy is None or policy.stop:
            self.hold = _STOPPED if policy else _LAWLESS
            self.service.set_rate(0)
            return
        self.hold = ""
        self.service.forbid(find_forbidden(policy, self.agent.spec))
        self.service.set_max_rate_per_prefix(policy.max_rate_per_prefix)
        self.service.set_rate(choose_rate(self.agent, self.entry, policy))

    def run(self) -> None:
        """Trace clients until it is stopped; keep the error that ends it."""
        try:
            if self.network:
                _enter(self.network)
            self.service.run(self._note)
        except sqlite3.Error as error:
            self.error = RunError(explain(error, self.service.shelf.folder))
        except BaseException as error:  # noqa: BLE001 (whoever waits tells it)
            self.error = error

    def _note(self, statistics: Statistics) -> None:
        self.statistics = statistics


def make_posts(
    manifests: Manifests,
    measurement: Measurement,
    policy: ProbingPolicySpec,
    store: DirectoryStore,
) -> list[Post]:
    """Make the agents of a standing measurement.

    Raises:
        RunError: When one can't be from here, with the remedy.
    """
    agents = [each.object for each in manifests.of_kind(Agent)]
    return [
        _make_post(measurement, entry, entry.connections, agent, policy, store)
        for entry in measurement.spec.agents
        if entry.connections
        for agent in select_agents(entry, agents)
    ]


def run_posts(
    posts: list[Post],
    store: DirectoryStore,
    show: Callable[[list[Post]], None],
    stopped: threading.Event,
    policies: PolicyFiles,
) -> None:
    """Trace clients until ``stopped`` is set, or until an agent fails.

    ``show`` is called several times a second.

    Raises:
        RunError: When another process runs the measurement with the same data.
    """
    waited = 0.0
    with lock_data(store.root, posts[0].measurement), _running(posts) as threads:
        while not stopped.wait(_LOOK_SECONDS):
            waited += _LOOK_SECONDS
            if waited >= _POLICY_SECONDS:
                waited, policy = 0.0, policies.look()
                for post in posts:
                    post.obey(policy)
            show(posts)
            if not all(thread.is_alive() for thread in threads):
                break
    show(posts)


def _make_post(  # noqa: PLR0913, PLR0917 (what an agent of a measurement is made of)
    measurement: Measurement,
    entry: MeasurementAgent,
    connections: Connections,
    agent: Agent,
    policy: ProbingPolicySpec,
    store: DirectoryStore,
) -> Post:
    spec, name = agent.spec, agent.metadata.name
    tool = measurement.spec.trace
    if tool is None:
        raise RunError("connections take the tool trace")
    socket = Path(spec.event_socket) if spec.event_socket else None
    if connections.source == "eventSocket" and socket is None:
        raise RunError(
            f"agents[{entry.name}] listens to tcp-info, and Agent {name!r} has no "
            "eventSocket; add the path of that socket to the Agent"
        )
    keys = RunKeys(".".join(measurement.key), measurement.spec.run_id, name)
    network = find_network(agent)
    folder = store.root / ".standing" / keys.root
    sources = (spec.source_address_v4, spec.source_address_v6)
    standing = Standing(
        connections=connections,
        trace=tool,
        failure_probability=measurement.spec.failure_probability,
    )
    shelf = Shelf(
        connections=connections,
        folder=folder,
        naming=Naming(
            agent=name,
            experiment=connections.experiment or measurement.metadata.name,
            version=version("anabranch"),
        ),
        store=store,
        root=keys.archives,
    )
    probing = Probing(
        rate=choose_rate(agent, entry, policy),
        max_rate_per_prefix=policy.max_rate_per_prefix,
        forbidden=find_forbidden(policy, spec),
        min_ttl=spec.min_ttl,
        max_ttl=spec.max_ttl,
        contact=policy.contact,
        interface=spec.interface,
        sources=tuple(source for source in sources if source),
        network=network,
    )
    annotator = open_annotator(
        Path(spec.annotation_socket) if spec.annotation_socket else None,
        name_objects(measurement.spec.annotate_from),
        store,
        folder,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check(annotator)
        service = Service(standing, shelf, probing, socket, annotator)
    except OSError as error:
        raise RunError(
            f"{folder}: {error.strerror or error}; choose another --data"
        ) from error
    except sqlite3.Error as error:
        raise RunError(explain(error, folder)) from error
    uid, statistics = keys.measurement, service.statistics
    post = Post(uid, agent, entry, service, network, statistics)
    post.obey(policy)
    return post


def _check(annotator: Annotator | None) -> None:
    """Check that objects about addresses can be read; a socket may come later.

    Raises:
        RunError: If one can't, with the remedy.
    """
    if not isinstance(annotator, FileAnnotator):
        return
    try:
        annotator.annotate([])
    except FileNotFoundError as error:
        raise RunError(
            f"annotateFrom: there is no file {error.filename}; copy it there: objects "
            "are files in the folder that --data names"
        ) from error
    except OSError as error:
        raise RunError(str(error)) from error


@contextmanager
def _running(posts: list[Post]) -> Iterator[list[threading.Thread]]:
    """Run all agents, each in a thread; stop and join all threads in any case."""
    threads = [threading.Thread(target=post.run) for post in posts]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for post, thread in zip(posts, threads, strict=True):
            post.service.stop()
            thread.join()


def _enter(network: Path) -> None:
    """Let this thread be in a network namespace, and what it opens from now on.

    Raises:
        OSError: If the system refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    with network.open("rb") as file:
        if library.setns(file.fileno(), _NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(network))
