"""Multipath traces of 1,000 destinations: Anabranch, scamper, fast-mda-traceroute.

All trace the same destinations in one simulation, with the same failure probability of
a vertex. Each line has the wall time, the probes, and the links between routers that
were found, of those that there are. fast-mda-traceroute traces one destination for each
process; it traces some of them, eight processes at a time.

Then tracers and the batch prober send as fast as they can, in a simulation in which all
probes are answered, and soon: tracers on their own, and by a plan into Parquet parts,
as the tool trace has them. At last, processes of their own tell whether memory grows
with the number of destinations.
"""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch_engine import (
    Plan,
    PrefixSet,
    Prober,
    Simulation,
    TargetList,
    Trace,
    TraceParameters,
    Tracing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

DESTINATIONS = 1_000
FEW = 24
RATE = 10_000
"""Probes a second: the most that scamper allows."""
MANY = 100_000
"""Destinations without other tools; the multipath traces are of a tenth of them."""
SIZES = (10_000, 30_000)
"""Destinations of processes whose memory is compared."""
STEP_RATE = 100_000
"""Probes a second of a step whose memory counts: an agent may trace 10,000 at once."""
UNBOUNDED = 1_000_000
"""Probes a second, which no machine of ours sends."""
WAIT_SECONDS = 0.5
FLOWS = 4_096
SWITCHES = {"hosts": 1.0, "silent-routers": 0.0}
PROCESSES = 8
PEERS = Path("build/peers")
"""Where fast-mda-traceroute is: it needs other versions than we do."""
PEER = ("fast-mda-traceroute==0.1.13", "pycaracal==0.14.5", "click<8.2")

Links = set[tuple[str, str]]
Found = tuple[int, Links]
"""The probes sent, and the links found between interfaces."""


def find_true_links(destinations: list[IPv4Address]) -> Links:
    """The links of routers that many flows cross."""
    simulation = Simulation(
        prefixes_v4=DESTINATIONS,
        prefixes_v6=0,
        vantage_points=1,
        seed=1,
        switches=SWITCHES,
    )
    octets = [24000 + flow << 16 | 33434 for flow in range(FLOWS)]
    found = simulation.links_of_flows(0, destinations, 17, octets)
    return {(near, far) for near, far, _ in found}


def start(
    destinations: list[IPv4Address],
    algorithm: str,
    rate: int,
    *,
    per_packet_test: bool = True,
    window: int = 1_000,
) -> Tracing:
    """Start to trace with Anabranch's engine."""
    return Tracing(
        destinations,
        algorithm=algorithm,
        failure_probability=0.05,
        per_packet_test=per_packet_test,
        rate=rate,
        max_rate_per_destination=rate,
        forbidden=PrefixSet(),
        window=window,
    )


def trace(
    destinations: list[IPv4Address], algorithm: str, rate: int, **options: Any
) -> Found:
    """With Anabranch's engine, all at once."""
    probes, links = 0, set()
    for event in start(destinations, algorithm, rate, **options):
        if isinstance(event, Trace):
            probes += len(event.probes)
            ends = ((near, far) for _, near, far in event.links if near and far)
            links |= {(str(near), str(far)) for near, far in ends}
    return probes, links


def trace_with_scamper(destinations: list[IPv4Address]) -> Found:
    """With scamper's tracelb, all at once, with the shortest waits that it takes."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{each}\n" for each in destinations))
        file.flush()
        what = "tracelb -P udp-sport -c 95 -q 3 -w 1 -W 15"
        words = ["scamper", "-O", "json", "-p", str(RATE), "-w", "1000", "-c", what]
        return read_scamper([*words, "-f", file.name])


def trace_with_fast_mda(destinations: list[IPv4Address]) -> Found:
    """With fast-mda-traceroute, a process for each destination."""
    words = [str(PEERS / "bin/fast-mda-traceroute"), "--format", "scamper-json"]
    words += ["--protocol", "udp", "--probing-rate", str(RATE), "--log-level", "ERROR"]
    with ThreadPoolExecutor(PROCESSES) as pool:
        found = list(pool.map(lambda to: read_scamper([*words, str(to)]), destinations))
    return sum(probes for probes, _ in found), set().union(
        *(links for _, links in found)
    )


def read_scamper(words: list[str]) -> Found:
    """Run a command, and read what scamper calls tracelb of its output."""
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    traces = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
    traces = [traced for traced in traces if traced["type"] == "tracelb"]
    links = {
        (node["addr"], link["addr"])
        for traced in traces
        for node in traced.get("nodes", ())
        for link in node["links"][0]
    }
    return sum(t["probec"] for t in traces), {link for link in links if "*" not in link}


def measure(
    name: str, destinations: list[IPv4Address], run: Callable[[], Found]
) -> None:
    """Print what a tracer takes and finds."""
    true = find_true_links(destinations)
    start = time.perf_counter()
    probes, links = run()
    seconds = time.perf_counter() - start
    ends = {str(destination) for destination in destinations}
    routers = {link for link in links if not ends & {*link}}
    print(
        f"{name}: {len(destinations)} destinations in {seconds:.1f} s, "
        f"{seconds / len(destinations) * 1000:.1f} ms each; "
        f"{probes / len(destinations):.1f} probes each; "
        f"{len(routers & true) / len(true):.4f} of {len(true)} links, "
        f"{len(routers - true)} others",
        flush=True,
    )


def run_beside() -> None:
    """Compare with other tools."""
    all_of_them = [IPv4Address(0xF0000001 + 256 * i) for i in range(DESTINATIONS)]
    for algorithm in ("mda", "mdaLite"):
        for rate, test in ((RATE, False), (RATE, True), (10 * RATE, True)):
            run = partial(trace, all_of_them, algorithm, rate, per_packet_test=test)
            with_test = "with" if test else "without"
            name = f"anabranch, {algorithm}, {rate:,}/s, {with_test} per-packet test"
            measure(name, all_of_them, run)
    measure("scamper", all_of_them, lambda: trace_with_scamper(all_of_them))
    some = all_of_them[:: DESTINATIONS // FEW][:FEW]
    measure("fast-mda-traceroute", some, lambda: trace_with_fast_mda(some))


def send_plan(
    numbers: Iterable[int],
    tracing: TraceParameters | None = None,
    rate: int = UNBOUNDED,
) -> tuple[int, float]:
    """Send a plan of some /24s; return the probes, and the seconds that they took."""
    asked = "1,32,1" if tracing else "1,16,6"
    prefixes = (IPv4Address(0xF0000000 + 256 * number) for number in numbers)
    lines = [f"{prefix}/24,udp,{asked}\n" for prefix in prefixes]
    targets = TargetList.read(io.BytesIO("".join(lines).encode())).split(24, 64)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan.write(
            Path(folder, "plan.parquet"),
            targets,
            initial_source_port=24000,
            destination_port=33434,
            flow_mapper="RandomFlowMapper",
            seed=42,
            order_seed=1,
            tracing=tracing,
        )
        prober = Prober(
            plan,
            Path(folder, "parts"),
            order="bench",
            round_number=1,
            rate=rate,
            max_rate_per_prefix=rate,
            forbidden=PrefixSet(),
            wait_seconds=WAIT_SECONDS,
        )
        start = time.perf_counter()
        sent = prober.run().sent
        # Traces wait for each of their replies themselves.
        waited = 0.0 if tracing else WAIT_SECONDS
        return sent, time.perf_counter() - start - waited


def run_unbounded() -> None:
    """Compare tracers with the batch prober, as fast as each goes."""
    destinations = [IPv4Address(0xF0000001 + 256 * i) for i in range(MANY)]
    few = destinations[: MANY // 10]
    sent, seconds = send_plan(range(len(few)))
    batch = sent / seconds
    print(f"batch prober: {batch:,.0f} probes/s", flush=True)
    # A single path has one probe in flight at a time.
    for algorithm, some, window in (
        ("mdaLite", few, 1_000),
        ("singlePath", destinations, 10_000),
    ):
        start = time.perf_counter()
        run = partial(trace, some, algorithm, UNBOUNDED)
        probes, _ = run(per_packet_test=True, window=window)
        rate = probes / (time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{algorithm}: {len(some):,} destinations, {rate:,.0f} probes/s, "
            f"{rate / batch:.2f} of the batch prober, at most {memory} MiB so far",
            flush=True,
        )
    parameters = TraceParameters(algorithm="mdaLite", failure_probability=0.05)
    sent, seconds = send_plan(range(len(few)), parameters)
    rate = sent / seconds
    print(
        f"mdaLite by a plan into parts: {len(few):,} destinations, {rate:,.0f} "
        f"probes/s, {rate / batch:.2f} of the batch prober",
        flush=True,
    )


def weigh(way: str, algorithm: str, count: int) -> None:
    """Print the most memory of a process that traces so many destinations.

    ``way`` is ``alone``, or ``step``: by a plan into parts, as an agent does.
    """
    # Drawn from all of them, so that few traces are as large as many are.
    drawn = random.Random(1).sample(range(MANY), count)  # noqa: S311
    if way == "step":
        parameters = TraceParameters(algorithm=algorithm, failure_probability=0.05)
        probes, _ = send_plan(drawn, parameters, STEP_RATE)
    else:
        destinations = [IPv4Address(0xF0000001 + 256 * number) for number in drawn]
        tracing = start(destinations, algorithm, UNBOUNDED)
        probes = sum(len(event.probes) for event in tracing if isinstance(event, Trace))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{algorithm}, {way}: {count:,} destinations, {probes:,} probes, "
        f"at most {memory} MiB",
        flush=True,
    )


def weigh_all() -> None:
    """Compare the memory of processes that trace few and many destinations."""
    for count in SIZES:
        words = [sys.executable, __file__, "weigh", "alone", "mdaLite", str(count)]
        subprocess.run(words, check=True)


def main() -> None:
    """Run this file in a simulation for each part."""
    match sys.argv[1:]:
        case ["beside"]:
            run_beside()
        case ["unbounded"]:
            run_unbounded()
            weigh_all()
        case ["weigh", "alone" | "step" as way, algorithm, count]:
            weigh(way, algorithm, int(count))
        case _:
            install_peer()
            simulate("beside", DESTINATIONS, SWITCHES)
            simulate("unbounded", MANY, SWITCHES | {"delay": 0.02})


def simulate(part: str, prefixes: int, switches: dict[str, float]) -> None:
    """Run a part of this file in a simulated Internet."""
    words = [sys.executable, "-m", "anabranch", "simulate"]
    words += ["--prefixes", str(prefixes), "--prefixes-v6", "0"]
    words += [f"--set={name}={value}" for name, value in switches.items()]
    # fast-mda-traceroute asks for the route to the Internet: there is none but this.
    script = 'ip route add default via 198.18.0.1 && exec "$@"'
    inside = ["sh", "-c", script, "-", sys.executable, __file__, part]
    subprocess.run([*words, "--", *inside], check=True)


def install_peer() -> None:
    """Install fast-mda-traceroute into an environment of its own."""
    uv = shutil.which("uv") or "build/uv/bin/uv"
    python = str(PEERS / "bin/python")
    if not PEERS.exists():
        subprocess.run([uv, "venv", "--quiet", str(PEERS)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, *PEER]
    subprocess.run(install, check=True)


if __name__ == "__main__":
    main()
