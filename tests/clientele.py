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


class Clients:
    """Clients with any addresses of the simulated Internet."""

    def __init__(self, network: str) -> None:
        self.network = network

    def connect(self, addresses: Sequence[str], at_once: int = 50) -> None:
        """A connection from each address, in this order, so many at once."""
        words = [sys.executable, __file__, str(at_once)]
        subprocess.run(
            ["ip", "netns", "exec", self.network, *words],
            input="\n".join(addresses).encode(),
            check=True,
        )


@contextmanager
def clientele() -> Iterator[Clients]:
    """A server here, and a namespace with its clients."""
    network = f"clients{os.getpid()}"
    _run(f"ip netns add {network}")
    try:
        _connect_link(network)
        with _routing(), _serving():
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
def _serving() -> Iterator[None]:
    loop = asyncio.new_event_loop()

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(1)
        writer.close()

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
        for file in self.data.glob(".standing/*/*/*/*/*.sqlite"):
            with suppress(sqlite3.OperationalError):
                base = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
                found = base.execute(query).fetchone()
                base.close()
                return found[0] if found else None
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


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


async def _connect_all(addresses: list[str], at_once: int) -> None:
    room = asyncio.Semaphore(at_once)

    async def connect(address: str) -> None:
        server = _SERVERS[6 if ":" in address else 4]
        async with room:
            reader, writer = await asyncio.open_connection(
                server, PORT, local_addr=(address, 0)
            )
            writer.write(b"1")
            await reader.read()
            writer.close()

    await asyncio.gather(*map(connect, addresses))


if __name__ == "__main__":
    asyncio.run(_connect_all(sys.stdin.read().split(), int(sys.argv[1])))
