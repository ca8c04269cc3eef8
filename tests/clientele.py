"""Clients of a server at a vantage point, by real TCP connections, and their traces.

Probes to a client cross the simulated Internet. Its TCP segments take a link of their
own: rules of routing tell them apart by the protocol. What is here runs in a vantage
point's network namespace, as the command of a simulation.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import queue
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anabranch.api import Measurement
from anabranch.local.manifest import load_manifests
from anabranch.local.policyfile import find_policy
from anabranch.local.standing import make_posts
from surveying import write_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anabranch.store.directory import DirectoryStore

PORT = 8080
AGENT = "mlab1-lga03"
_AT_ONCE = 50
Visit = tuple[float, str]
"""After how many seconds a connection begins, and the client's address."""
Ended = tuple[str, int, float]
"""The address and the port of a client, and when its connection ended by its clock."""
_SPACES = {4: "240.0.0.0/5", 6: "3fff::/48"}
_SERVERS = {4: "198.18.0.2", 6: "3fff:ffe::2"}
_LINKS = {4: ("10.255.0.1/30", "10.255.0.2/30"), 6: ("fd00::1/64", "fd00::2/64")}
_TABLE = "100"
_PROC = Path("/proc/sys/net/ipv4/conf")


def write_manifest(
    folder: Path,
    *,
    agent: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **of: Any,
) -> Path:
    """A standing measurement of one agent; ``of`` says more of its connections."""
    connections = {"source": "kernel", "ports": [PORT], "experiment": "ndt"} | of
    entry = {"name": AGENT, "connections": connections}
    usual = {"nodeName": "localhost", "maxProbingRate": 50_000, "allowReserved": True}
    measured = {"trace": {"algorithm": "mda"}, "agents": [entry]}
    return write_kinds(
        folder / "clients.yaml",
        [
            ("Agent", AGENT, usual | (agent or {})),
            ("Measurement", "clients", measured | (spec or {})),
        ],
    )


def draw_bursts(connections: int, clients: int, seconds: float) -> list[Visit]:
    """When connections begin, and from where; a third of them at twenty moments.

    Each client is in a /24 of its own, and has a connection at least.
    """
    chance = random.Random(1)  # noqa: S311 (the same each time)
    whose = [*range(clients)]
    whose += [chance.randrange(clients) for _ in range(connections - clients)]
    chance.shuffle(whose)
    bursts = [chance.uniform(0, seconds) for _ in range(20)]
    when = [
        chance.choice(bursts) if chance.random() < 1 / 3 else chance.uniform(0, seconds)
        for _ in whose
    ]
    addresses = (f"240.{number >> 8}.{number & 255}.1" for number in whose)
    return sorted(zip(when, addresses, strict=True))


class Clients:
    """Clients with any addresses of the simulated Internet."""

    def __init__(self, network: str) -> None:
        self.network = network

    def connect(self, addresses: Sequence[str]) -> None:
        """A connection from each address, in this order."""
        self.visit([(0, address) for address in addresses])

    def visit(self, visits: Sequence[Visit]) -> list[Ended]:
        """Connections at their times, fifty at once at most; those that have ended."""
        words = ["ip", "netns", "exec", self.network, sys.executable, __file__]
        done = subprocess.run(
            words, input=json.dumps(visits).encode(), stdout=subprocess.PIPE, check=True
        )
        return [(*each,) for each in json.loads(done.stdout)]


def _pass_over(_client: str, _port: int) -> None:
    pass


@contextmanager
def clientele(tell: Callable[[str, int], None] = _pass_over) -> Iterator[Clients]:
    """A server here, and a namespace with its clients.

    ``tell`` gets the address and the port of each client whose connection has ended.
    """
    network = f"clients{os.getpid()}"
    _run(f"ip netns add {network}")
    try:
        _connect_link(network)
        with _routing(), _serving(tell):
            yield Clients(network)
    finally:
        _run(f"ip netns del {network}")


@contextmanager
def run_clients(network: str) -> Iterator[Callable[[Sequence[str]], None]]:
    """The same in a network namespace with a name, for a test that is elsewhere."""
    script = """
import json, sys
from clientele import clientele
with clientele() as clients:
    print(flush=True)
    for line in sys.stdin:
        clients.connect(json.loads(line))
        print(flush=True)
"""
    words = ["ip", "netns", "exec", network, sys.executable, "-c", script]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    ) as process:
        assert process.stdin
        assert process.stdout
        to, back = process.stdin, process.stdout
        assert back.readline()

        def connect(addresses: Sequence[str]) -> None:
            to.write(json.dumps(addresses).encode() + b"\n")
            to.flush()
            assert back.readline()

        yield connect
        to.close()


def _connect_link(network: str) -> None:
    def there(words: str) -> None:
        _run(f"ip -n {network} {words}")

    _run(f"ip link add here type veth peer name there netns {network}")
    _run("ip link set here up")
    there("link set lo up")
    there("link set there up")
    for version, space in _SPACES.items():
        ours, theirs = _LINKS[version]
        gateway, via = (end.partition("/")[0] for end in (ours, theirs))
        more = "nodad" if version == 6 else ""
        _run(f"ip -{version} addr add {ours} dev here {more}")
        there(f"-{version} addr add {theirs} dev there {more}")
        there(f"-{version} route add local {space} dev lo")
        there(f"-{version} route add default via {gateway}")
        _run(f"ip -{version} route add {space} via {via} table {_TABLE}")
    # A client binds to an address that is no link's, and is routed by another link than
    # the other way.
    bind = "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind"
    words = ["ip", "netns", "exec", network, "sh", "-c", bind]
    subprocess.run(words, check=True)
    for name in ("all", "default", "here"):
        _PROC.joinpath(name, "rp_filter").write_text("0")


@contextmanager
def _routing() -> Iterator[None]:
    """Segments to clients take the link to them; nothing of that stays."""
    rules = [
        f"-{version} rule {{}} to {space} ipproto tcp lookup {_TABLE}"
        for version, space in _SPACES.items()
    ]
    for rule in rules:
        _run(f"ip {rule.format('add')}")
    try:
        yield
    finally:
        for rule in rules:
            _run(f"ip {rule.format('del')}")


@contextmanager
def _serving(tell: Callable[[str, int], None]) -> Iterator[None]:
    loop = asyncio.new_event_loop()

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address, port, *_ = writer.get_extra_info("peername")
        await reader.read(1)
        writer.close()
        tell(address, port)

    async def begin() -> asyncio.Server:
        # It takes clients of IPv4 too, as ::ffff:a.b.c.d.
        made = socket.create_server(
            ("", PORT), family=socket.AF_INET6, backlog=1000, dualstack_ipv6=True
        )
        return await asyncio.start_server(answer, sock=made)

    server = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@dataclass
class Threaded:
    """A standing measurement's agent in this process, with any store."""

    manifest: Path
    store: DirectoryStore
    traced: queue.Queue[None] = field(default_factory=queue.Queue)
    """Gets something with each trace that ends."""

    def __post_init__(self) -> None:
        manifests = load_manifests([str(self.manifest)], io.BytesIO)
        (document,) = manifests.of_kind(Measurement)
        policy = find_policy(manifests)
        assert policy
        (post,) = make_posts(manifests, document.object, policy, self.store)
        self.service = post.service
        self.service.ended = lambda _: self.traced.put(None)
        self._running = ThreadPoolExecutor(1).submit(self._run)

    def end(self) -> list[str]:
        """The objects that the store had when it ended, or the error that ended it."""
        return self._running.result()

    def _run(self) -> list[str]:
        self.service.run(lambda _: None)
        return list(self.store.list("agents"))


@dataclass
class Running:
    """A standing measurement that goes on."""

    manifest: Path
    data: Path

    def __post_init__(self) -> None:
        words = [sys.executable, "-m", "anabranch", "run", str(self.manifest)]
        began = time.time()
        self.process = subprocess.Popen([*words, "--data", str(self.data)])
        while (self._ask("SELECT until FROM heard") or 0.0) < began:
            assert self.process.poll() is None, "it has ended"
            time.sleep(0.05)

    @property
    def waiting(self) -> int:
        """How many connections have no outcome yet."""
        query = "SELECT count(*) FROM connections WHERE outcome IS NULL"
        return int(self._ask(query) or 0)

    @property
    def begun(self) -> int:
        """How many traces have begun, of which the queue knows."""
        return int(self._ask("SELECT count(*) FROM traces") or 0)

    def count(self, outcome: str) -> int:
        """How many connections have an outcome."""
        query = f"SELECT count(*) FROM connections WHERE outcome = {outcome!r}"
        return int(self._ask(query) or 0)

    def await_heard(self, connections: int, seconds: float) -> None:
        """Wait until so many were heard of, or until it says that it missed any."""
        query = "SELECT (SELECT count(*) FROM connections), count(*) FROM missed"
        until = time.monotonic() + seconds
        while True:
            heard, missed = self._ask_row(query) or (0, 0)
            if missed or heard >= connections:
                return
            assert time.monotonic() < until, f"{heard} of {connections} were heard of"
            time.sleep(0.1)

    def settle(self, seconds: float = 60) -> None:
        """Wait until no connection waits."""
        until = time.monotonic() + seconds
        time.sleep(0.3)  # The kernel tells of the last one within moments.
        while self.waiting:
            assert time.monotonic() < until, f"{self.waiting} wait yet"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let it end by itself."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 0

    def _ask(self, query: str) -> Any:
        row = self._ask_row(query)
        return row[0] if row else None

    def _ask_row(self, query: str) -> Any:
        for file in self.data.glob(".standing/*/*/*/*/*.sqlite"):
            with suppress(sqlite3.OperationalError):
                base = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
                found = base.execute(query).fetchone()
                base.close()
                return found
        return None


def read_files(
    data: Path, datatype: str = "scamper1"
) -> dict[str, list[dict[str, Any]]]:
    """The lines of all files in archives, by name; each file stands there once."""
    files: dict[str, list[dict[str, Any]]] = {}
    for archive in sorted(data.glob(f"agents/*/*/*/archives/{datatype}/**/*.tgz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content
                assert member.name not in files, member.name
                files[member.name] = [json.loads(line) for line in content]
    return files


def read_outcomes(data: Path) -> list[dict[str, Any]]:
    """What became of each connection, and what was missed."""
    archives = data.glob("agents/*/*/*/archives/connections/**/*.jsonl.gz")
    return [
        json.loads(line)
        for archive in sorted(archives)
        for line in gzip.decompress(archive.read_bytes()).splitlines()
    ]


def find_least_pause(outcomes: Sequence[dict[str, Any]]) -> float:
    """The least time between the starts of two traces of one client, in seconds."""
    began: dict[str, list[float]] = {}
    for each in outcomes:
        if each["outcome"] == "traced":
            began.setdefault(each["client"], []).append(each["began"])
    pauses = (b - a for times in began.values() for a, b in pairwise(sorted(times)))
    return min(pauses, default=float("inf"))


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


async def _visit_all(visits: Sequence[Visit]) -> list[Ended]:
    room = asyncio.Semaphore(_AT_ONCE)
    began = time.monotonic()

    async def visit(after: float, address: str) -> Ended:
        server = _SERVERS[6 if ":" in address else 4]
        await asyncio.sleep(began + after - time.monotonic())
        async with room:
            reader, writer = await asyncio.open_connection(
                server, PORT, local_addr=(address, 0)
            )
            port: int = writer.get_extra_info("sockname")[1]
            writer.write(b"1")
            await reader.read()
            writer.close()
        return address, port, time.time()

    return await asyncio.gather(*(visit(*each) for each in visits))


if __name__ == "__main__":
    json.dump(asyncio.run(_visit_all(json.load(sys.stdin))), sys.stdout)
