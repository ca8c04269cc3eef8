"""An agent in a simulated Internet, with a real API server and a real store."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from anabranch_engine import Part

from anabranch.rounds.steps import Step
from anabranch.store.keys import RunKeys, StepKeys
from anabranch.store.s3 import S3Store
from devcluster.process import run_program, run_tool, wait_until
from probing import write_plan
from relay import Relay, make_inside, run_relay
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anabranch_engine import Plan, TraceParameters

    from devcluster.apiserver import ApiServer
    from devcluster.namespace import Namespace
    from devcluster.s3 import S3

HEALTH_PORT, LINK = 9465, "sim0"
WORLD = World(200, 200)
"""What is behind each site."""
SECONDS = 30.0
"""The longest that something may take which should take a few seconds."""
QUICK = {
    "lease": 4.0,
    "renew": 0.5,
    "takeover": 6.0,
    "check": 0.1,
    "request": 2.0,
    "status": 0.5,
    "most_backoff": 1.0,
    "part": 1.0,
}
"""Times for tests that can't wait."""


@contextlib.contextmanager
def run_network(world: World, folder: Path, number: int) -> Iterator[str]:
    """A network namespace that leads to a simulated Internet, and nowhere else."""
    name = f"anabranch-{os.getpid()}-{number}"
    words = [*world.command]
    words[-1:-1] = [f"--attach={name}"]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        log = folder / "simulator.log"
        with run_program([*words, "sleep", "infinity"], log) as simulator:
            routes = ["ip", "-n", name, "route", "show", "240.0.0.0/4"]

            def is_there() -> bool:
                assert simulator.poll() is None, log.read_text()
                return bool(run_tool(*routes))

            wait_until("the simulated Internet", is_there, SECONDS)
            yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@dataclass(frozen=True)
class Probed:
    """A Round that was made, and where its parts are to be."""

    name: str
    plan: Plan
    keys: StepKeys


@dataclass
class Site:
    """A vantage point with all that its agent needs."""

    network: str
    agent: str
    """The Agent's name, which no other test has: agents look into all namespaces."""
    namespace: Namespace
    """The system namespace, and that of the Rounds."""
    store: S3Store
    folder: Path
    environment: dict[str, str]
    to_api: Relay
    to_store: Relay
    _starts: int = 0

    @contextlib.contextmanager
    def run_agent(
        self, pod_uid: str = "pod-1", *, rights: Sequence[str] = (), **times: float
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Runs the agent; by default it keeps quick times.

        ``rights`` are words of a command that gives it other ones than root's.
        """
        self._starts += 1
        agent = Path(__file__).with_name("agentprocess.py")
        words = [*rights, sys.executable, str(agent), json.dumps(QUICK | times)]
        command = ["ip", "netns", "exec", self.network, *words]
        environment = self.environment | {"ANABRANCH_POD_UID": pod_uid}
        log = self.folder / f"agent-{self._starts}.log"
        with run_program(command, log, environment) as process:
            yield process

    @property
    def log(self) -> str:
        """What all agents said."""
        files = sorted(self.folder.glob("agent-*.log"))
        return "".join(file.read_text() for file in files)

    def create(self, kind: str, name: str, spec: dict[str, Any], **extra: Any) -> None:
        """Makes an object."""
        metadata = {"name": name, "namespace": self.namespace.name, **extra}
        head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind}
        made = self.namespace.create(head | {"metadata": metadata, "spec": spec})
        assert made.status == 201, made.body

    def change(self, kind: str, name: str, **spec: Any) -> None:
        """Changes fields of an object's spec."""
        status = 409  # the agent writes, too
        while status == 409:
            found = self.get(kind, name)
            found["spec"] |= spec
            changed = self.namespace.replace(found)
            status = changed.status
        assert status == 200, changed.body

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        answer = self.namespace.call("GET", self.namespace.path(kind, name))
        assert answer.status == 200, answer.body
        return answer.body

    def delete(self, kind: str, name: str) -> None:
        """Removes an object."""
        answer = self.namespace.call("DELETE", self.namespace.path(kind, name))
        assert answer.status == 200, answer.body

    def create_round(  # noqa: PLR0913 (what a Round is made of)
        self,
        lines: list[str],
        *,
        rate: int = 1000,
        number: int = 1,
        digest: str = "",
        content: bytes = b"",
        tracing: TraceParameters | None = None,
    ) -> Probed:
        """A Round over the lines of a target list, with its plan in the store.

        Unless there is another content, or digest. With ``tracing``, its targets are
        traced.
        """
        keys = RunKeys(self.namespace.name, "1", self.agent).step(Step(number))
        file = self.folder / f"plan-{number}.parquet"
        plan = write_plan(file, lines, tracing=tracing)
        content = content or plan.path.read_bytes()
        assert self.store.put(keys.plan, content)
        digest = digest or f"sha256:{hashlib.sha256(content).hexdigest()}"
        spec = {
            "measurement": {"name": "survey", "uid": self.namespace.name},
            "runId": "1",
            "agent": self.agent,
            "nodeName": "vp1",
            "round": number,
            "plan": {
                "key": keys.plan,
                "digest": digest,
                "blocks": plan.blocks,
                "destinations" if tracing else "probes": plan.units,
            },
            "rate": rate,
            "waitSeconds": 1,
        }
        name = f"survey-{number}"
        labels = {"anabranch.dev/agent": self.agent}
        self.create("Round", name, spec, labels=labels)
        return Probed(name, plan, keys)

    def status(self, name: str) -> dict[str, Any]:
        """The status of a Round, or nothing yet."""
        status: dict[str, Any] = self.get("Round", name).get("status", {})
        return status

    def condition(self, name: str, kind: str) -> tuple[str, str]:
        """The status and reason of a Round's condition."""
        for condition in self.status(name).get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    def wait(
        self, name: str, kind: str, status: str, reason: str, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """Waits for a condition of a Round; the Round's status then."""
        try:
            wait_until(
                f"{kind} {status} {reason}",
                lambda: self.condition(name, kind) == (status, reason),
                seconds,
            )
        except TimeoutError as error:
            message = f"{error}: {self.status(name)}\n{self.log}"
            raise AssertionError(message) from error
        return self.status(name)

    def wait_complete(self, name: str, seconds: float = 2 * SECONDS) -> dict[str, Any]:
        """Waits until a Round is complete; its status."""
        return self.wait(name, "Complete", "True", "Complete", seconds)

    def wait_sent(self, name: str, probes: int) -> int:
        """Waits until a Round's status tells of more probes; how many it tells of."""
        wait_until(
            f"{probes} probes of {name}",
            lambda: self.status(name).get("probesSent", 0) >= probes,
            SECONDS,
        )
        sent: int = self.status(name)["probesSent"]
        return sent

    def ask(self, path: str) -> tuple[int, str]:
        """What the agent answers to a request."""
        address = ("127.0.0.1", HEALTH_PORT)
        connection = make_inside(
            self.network, lambda: socket.create_connection(address)
        )
        with connection, connection.makefile("rwb") as stream:
            stream.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            stream.flush()
            head, _, body = stream.read().decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    def fetch_parts(self, probed: Probed) -> Path:
        """A folder with the parts of a Round that are in the store."""
        folder = self.folder / f"stored-{probed.name}"
        for key in self.store.list(probed.keys.replies):
            block, _, name = key.removeprefix(f"{probed.keys.replies}/").partition("/")
            file = folder / block / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.store.get(key))
        return folder


def read_heads(folder: Path) -> list[Part]:
    """What parts say of themselves, in the order of their keys."""
    files = sorted(folder.glob("*/*.parquet"))
    return [Part.read(file.read_bytes()) for file in files]


@contextlib.contextmanager
def run_site(
    folder: Path,
    number: int,
    apiserver: ApiServer,
    namespace: Namespace,
    s3: S3,
) -> Iterator[Site]:
    """A vantage point with its policy and Agent, as long as it is needed."""
    ports = [int(url.rpartition(":")[2]) for url in (apiserver.url, s3.url)]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(run_network(WORLD, folder, number))
        to_api, to_store = (
            stack.enter_context(run_relay(network, port)) for port in ports
        )
        name = f"paris-{number}-{namespace.name[-6:]}"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(write_kubeconfig(apiserver)))
        environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "ANABRANCH_AGENT": name,
            "ANABRANCH_NAMESPACE": namespace.name,
            "ANABRANCH_HOST_IP": "127.0.0.1",
            "ANABRANCH_HEALTH_PORT": str(HEALTH_PORT),
            "ANABRANCH_STORE_BUCKET": s3.bucket,
            "ANABRANCH_STORE_ENDPOINT": s3.url,
            "ANABRANCH_SCRATCH": str(folder / "scratch"),
        }
        store = S3Store(s3.bucket, endpoint_url=s3.url)
        site = Site(
            network, name, namespace, store, folder, environment, to_api, to_store
        )
        policy = {
            "contact": "https://example.org/survey",
            "allow": ["240.0.0.0/4", "3fff::/20"],
            "allowReserved": True,
            "maxRatePerPrefix": 1000,
        }
        site.create("ProbingPolicy", "default", policy)
        agent = {"nodeName": "vp1", "maxProbingRate": 5000, "allowReserved": True}
        site.create("Agent", name, agent)
        yield site


def write_kubeconfig(apiserver: ApiServer) -> dict[str, Any]:
    cluster = {
        "server": apiserver.url,
        "certificate-authority": str(apiserver.certificate),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": apiserver.token}}],
        "contexts": [
            {"name": "tests", "context": {"cluster": "tests", "user": "tests"}}
        ],
    }
