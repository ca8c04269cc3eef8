"""Traces that connections trigger: Anabranch, and a scamper for each as M-Lab runs it.

In a simulated Internet, a program plays M-Lab's tcp-info: 10,000 connections of 3,000
clients end within a minute, or as many as `--connections` says, a third of them in
bursts. `anabranch run` traces the clients. The figures are the traces for each second
of processor time, the time from the end of a connection to the end of its trace, and
the memory while 10,000 wait.

traceroute-caller (https://github.com/m-lab/traceroute-caller) starts a process of
scamper for each client, with these options. Some are started here, as many at once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from clientele import draw_bursts

CONNECTIONS = 10_000
CLIENTS = 3_000
"""Of as many connections; of fewer, fewer."""
SECONDS = 60
FEW = 200
AT_ONCE = 50
SCAMPER = "tracelb -P icmp-echo -q 3 -W {wait} -O ptr {address}"
WAITS = (25, 15)
"""Hundredths of a second between probes: traceroute-caller's, and scamper's least."""
SWITCHES = {"hosts": 1.0, "silent-routers": 0.0}
AGENT = "mlab1-lga03"


def write_manifest(folder: Path, *, stops: bool) -> Path:
    """Write a standing measurement of tcp-info's connections."""
    policy = {"contact": "bench@example.org", "allowReserved": True, "stop": stops}
    policy |= {"maxRatePerPrefix": 1000}
    agent = {"nodeName": "localhost", "maxProbingRate": 100_000, "allowReserved": True}
    agent |= {"eventSocket": str(folder / "events.sock")}
    connections = {"source": "eventSocket", "maxTraces": 10_000}
    entry = {"name": AGENT, "connections": connections}
    tool = {"algorithm": "mda", "gapLimit": 3}
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("ProbingPolicy", "default", policy),
        ("Agent", AGENT, agent),
        ("Measurement", "clients", {"trace": tool, "agents": [entry]}),
    ]
    file = folder / "clients.yaml"
    documents = [
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        for kind, name, spec in kinds
    ]
    file.write_text(yaml.safe_dump_all(documents))
    return file


def name_client(number: int) -> str:
    """Return the address of a client: one of each /24."""
    return f"240.{number >> 8}.{number & 255}.1"


def play(
    server: socket.socket, events: list[tuple[float, str]], listens: threading.Event
) -> None:
    """Tell a listener of connections, each at its time."""
    there, _ = server.accept()
    listens.set()
    began = time.time()
    for number, (at, client) in enumerate(events):
        time.sleep(max(began + at - time.time(), 0))
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        now += f"{time.time() % 1:.6f}Z"[1:]
        ends = {"SPort": 443, "DPort": 5000, "SrcIP": "198.18.0.2", "DstIP": client}
        for event, what in ((0, ends), (1, None)):
            line = {"Event": event, "Timestamp": now, "UUID": f"u{number}", "ID": what}
            there.sendall(json.dumps(line).encode() + b"\n")
    time.sleep(1)


def start(
    folder: Path, events: list[tuple[float, str]], *, stops: bool = False
) -> tuple[subprocess.Popen[bytes], threading.Thread]:
    """Start a measurement, and a program that tells it of connections."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "events.sock"))
    server.listen()
    listens = threading.Event()
    player = threading.Thread(target=play, args=(server, events, listens))
    player.start()
    manifest = write_manifest(folder, stops=stops)
    words = [sys.executable, "-m", "anabranch", "run", str(manifest)]
    process = subprocess.Popen([*words, "--data", str(folder / "data")])
    listens.wait()
    return process, player


def read_outcomes(folder: Path) -> list[dict[str, Any]]:
    """Return what became of each connection."""
    archives = folder.glob("data/agents/*/*/*/archives/connections/**/*.jsonl.gz")
    contents = [gzip.decompress(archive.read_bytes()) for archive in archives]
    lines = [line for content in contents for line in content.splitlines()]
    return [row for line in lines if (row := json.loads(line)).get("uuid")]


def read_seconds(process: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def read_memory(process: int) -> int:
    """Return the memory of a process, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) >> 10


def run_ours(connections: int) -> float:
    """Trace the clients of all connections; return traces a processor second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clients = connections * CLIENTS // CONNECTIONS
        process, player = start(folder, draw_bursts(connections, clients, SECONDS))
        began = read_seconds(process.pid)
        player.join()
        time.sleep(30)
        seconds = read_seconds(process.pid) - began
        process.send_signal(signal.SIGTERM)
        process.wait()
        outcomes = read_outcomes(folder)
    if {row["uuid"] for row in outcomes} != {f"u{n}" for n in range(connections)}:
        raise RuntimeError(f"{len(outcomes)} of {connections} have an outcome")
    counts = dict.fromkeys(("traced", "copied", "dropped"), 0)
    for row in outcomes:
        counts[row["outcome"]] += 1
    waits = sorted(
        row["ended"] - row["closed"] for row in outcomes if row["outcome"] == "traced"
    )
    rate = counts["traced"] / seconds
    middle, late = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(
        f"anabranch: {counts}, {rate:,.1f} traces a processor second; from close to "
        f"trace {middle:.2f} s at p50, {late:.2f} s at p99",
        flush=True,
    )
    return rate


def run_waiting() -> None:
    """Let 10,000 connections wait, and print the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = [(0.0, name_client(n % CLIENTS)) for n in range(CONNECTIONS)]
        process, player = start(folder, events, stops=True)
        player.join()
        time.sleep(5)
        memory = read_memory(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait()
    print(f"{CONNECTIONS:,} connections wait: {memory} MiB", flush=True)


def run_scamper(wait: int) -> float:
    """Trace some clients, by a scamper each; return traces a processor second."""

    def trace(number: int) -> int:
        what = SCAMPER.format(wait=wait, address=name_client(number))
        words = ["scamper", "-o-", "-O", "json", "-I", what]
        done = subprocess.run(words, check=True, capture_output=True)
        return int(json.loads(done.stdout.splitlines()[1])["probec"])

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        probes = sum(pool.map(trace, range(FEW)))
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.time() - began
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rate = FEW / seconds
    print(
        f"scamper -W {wait}: {FEW} traces, {probes / FEW:.0f} probes each, {rate:,.1f} "
        f"a processor second, {took * AT_ONCE / FEW:.1f} s each",
        flush=True,
    )
    return rate


def main() -> None:
    """Run this file in a simulation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--inside", action="store_true", help="of a simulation")
    options = parser.parse_args()
    if options.inside:
        ours = run_ours(options.connections)
        run_waiting()
        theirs = max(map(run_scamper, WAITS))
        print(f"{ours / theirs:.1f} times the traces of scamper", flush=True)
        return
    words = [sys.executable, "-m", "anabranch", "simulate", "--prefixes-v6", "0"]
    words += ["--prefixes", str(CLIENTS)]
    words += [f"--set={name}={value}" for name, value in SWITCHES.items()]
    # scamper asks for the route to the Internet: there is none but this.
    script = 'ip route add default via 198.18.0.1 && exec "$@"'
    inside = ["sh", "-c", script, "-", sys.executable, __file__, "--inside"]
    inside += ["--connections", str(options.connections)]
    subprocess.run([*words, "--", *inside], check=True)


if __name__ == "__main__":
    main()
