"""Probes sent a second by a bare loop, the prober and pycaracal, in one simulation.

Each sends the same number of probes over the same link as fast as it can, while one in
ten of them is answered. The bare loop sends 64 ready frames again and again and reads
nothing: what the kernel's paths themselves allow.
"""

from __future__ import annotations

import ctypes
import io
import json
import mmap
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from anabranch_engine import Plan, PrefixSet, Prober, TargetList

PREFIXES, TTLS, FLOWS = 10_000, 20, 8
PROBES = PREFIXES * TTLS * FLOWS
ROUNDS = 3
WAIT_SECONDS = 1.0
SPORT, DPORT = 24000, 33434
GATEWAY = bytes.fromhex("02ab72616e01")
QDISC_BYPASS, BATCH = 20, 64
# 0.316 squared: one in ten probes comes back.
SWITCHES = ("loss=0.684", "hosts=1", "silent-routers=0", "delay=0.2")


def open_plan(folder: Path) -> Plan:
    """Every probe once."""
    lines = [
        f"240.{n >> 8}.{n & 255}.0/24,udp,1,{TTLS},{FLOWS}\n" for n in range(PREFIXES)
    ]
    targets = TargetList.read(io.BytesIO("".join(lines).encode())).split(24, 64)
    return Plan.write(
        folder / "plan.parquet",
        targets,
        initial_source_port=SPORT,
        destination_port=DPORT,
        flow_mapper="RandomFlowMapper",
        seed=42,
        order_seed=1,
    )


def make_frames() -> list[bytes]:
    """A batch of UDP probes to different prefixes."""
    frames = []
    for number in range(BATCH):
        udp = bytes([0x5D, 0xC0, 0x82, 0x9A, 0, 33, 0, 0]) + bytes(25)
        ip = bytearray([0x45, 0, 0, 53, 0, 1, 0, 0, 2 + number % 16, 17, 0, 0])
        ip += bytes([198, 18, 0, 2, 240, 0, number, 9])
        total = sum(ip[i] << 8 | ip[i + 1] for i in range(0, 20, 2))
        total = (total & 0xFFFF) + (total >> 16)
        ip[10:12] = (0xFFFF - total).to_bytes(2)
        ethernet = GATEWAY + bytes([2, 0, 0, 0, 0, 1, 8, 0])
        frames.append(ethernet + bytes(ip) + udp)
    return frames


def send_bare_xdp() -> float:
    """By AF_XDP alone, in copy mode; the numbers are those of linux/if_xdp.h."""
    chunk = 2048
    libc = ctypes.CDLL(None, use_errno=True)
    link = socket.socket(44, socket.SOCK_RAW, 0)
    memory = mmap.mmap(-1, BATCH * chunk)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    whole = struct.pack("QQIIII", address, len(memory), chunk, 0, 0, 0)
    link.setsockopt(283, 4, whole)
    for ring in (5, 6, 3):  # to fill, completed, to transmit
        link.setsockopt(283, ring, BATCH)
    offsets = struct.unpack("16Q", link.getsockopt(283, 1, 128))

    def map_ring(fields: tuple[int, ...], size: int, offset: int) -> mmap.mmap:
        length = fields[2] + size * BATCH
        return mmap.mmap(link.fileno(), length, mmap.MAP_SHARED, offset=offset)

    transmit, completed = offsets[4:8], offsets[12:16]
    out = map_ring(transmit, 16, 0x80000000)
    done = map_ring(completed, 8, 0x180000000)
    for number, frame in enumerate(make_frames()):
        memory[number * chunk : number * chunk + len(frame)] = frame
        at = transmit[2] + 16 * number
        out[at : at + 16] = struct.pack("QII", number * chunk, len(frame), 0)
    bound = struct.pack("HHIII", 44, 2, socket.if_nametoindex("eth0"), 0, 0)
    if libc.bind(link.fileno(), bound, len(bound)) != 0:
        raise OSError(ctypes.get_errno(), "bind")
    produced = ctypes.c_uint32.from_buffer(out, transmit[0])
    taken = ctypes.c_uint32.from_buffer(out, transmit[1])
    finished = ctypes.c_uint32.from_buffer(done, completed[0])
    reclaimed = ctypes.c_uint32.from_buffer(done, completed[1])
    send, descriptor = libc.sendto, link.fileno()
    start = time.perf_counter()
    while taken.value < PROBES:
        reclaimed.value = finished.value
        produced.value = min(reclaimed.value + BATCH, PROBES)
        send(descriptor, None, 0, socket.MSG_DONTWAIT, None, 0)
    return PROBES / (time.perf_counter() - start)


def send_bare(*, bypass: bool) -> float:
    """By sendmmsg alone."""

    class Part(ctypes.Structure):
        _fields_ = (("base", ctypes.c_char_p), ("len", ctypes.c_size_t))

    class Message(ctypes.Structure):
        _fields_ = (
            ("name", ctypes.c_void_p),
            ("name_len", ctypes.c_uint32),
            ("parts", ctypes.POINTER(Part)),
            ("parts_len", ctypes.c_size_t),
            ("control", ctypes.c_void_p),
            ("control_len", ctypes.c_size_t),
            ("flags", ctypes.c_int),
            ("padding", ctypes.c_int),
            ("sent", ctypes.c_uint),
        )

    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.setsockopt(263, QDISC_BYPASS, int(bypass))
    link.bind(("eth0", 0))
    messages = (Message * BATCH)()
    parts = []
    for number, frame in enumerate(make_frames()):
        parts.append(Part(frame, len(frame)))
        messages[number].parts = ctypes.pointer(parts[-1])
        messages[number].parts_len = 1
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    start = time.perf_counter()
    for _ in range(PROBES // BATCH):
        if sendmmsg(link.fileno(), messages, BATCH, 0) != BATCH:
            raise OSError(ctypes.get_errno(), "sendmmsg")
    return PROBES / (time.perf_counter() - start)


def make_prober(folder: Path, parts: Path, rate: int) -> Prober:
    """The prober of the plan in a folder, at a rate in probes a second."""
    return Prober(
        Plan(folder / "plan.parquet"),
        parts,
        order="bench",
        round_number=1,
        rate=rate,
        max_rate_per_prefix=1_000_000,
        forbidden=PrefixSet(["192.0.2.0/24"]),
        wait_seconds=WAIT_SECONDS,
    )


def send_plan(folder: Path) -> float:
    """By the prober, which validates and writes the replies."""
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        prober = make_prober(folder, Path(parts), rate=10_000_000)
        start = time.perf_counter()
        counts = prober.run()
        took = time.perf_counter() - start - WAIT_SECONDS
    if counts.sent != PROBES or counts.unplanned or counts.forged:
        raise RuntimeError(repr(counts))
    return PROBES / took


def send_pycaracal(folder: Path) -> float:
    """By pycaracal 0.14, from a file of probes, with replies to a file."""
    pycaracal = import_module("pycaracal")  # without types
    config = pycaracal.prober.Config()
    config.set_interface("eth0")
    config.set_rate_limiting_method("none")
    config.set_probing_rate(10_000_000)
    config.set_sniffer_wait_time(1)
    config.set_output_file_csv(str(folder / "replies.csv"))
    start = time.perf_counter()
    pycaracal.prober.probe(config, str(folder / "probes.csv"))
    return PROBES / (time.perf_counter() - start - 1.0)


SENDERS = {
    "bare loop": lambda _: send_bare(bypass=False),
    "bare loop, bypassing the queue": lambda _: send_bare(bypass=True),
    "bare AF_XDP loop": lambda _: send_bare_xdp(),
    "prober": send_plan,
    "pycaracal": send_pycaracal,
}


def measure(folder: Path) -> None:
    """Inside the simulation: each in turn, some times."""
    subprocess.run(["ip", "route", "add", "default", "via", "198.18.0.1"], check=True)
    subprocess.run(
        ["ping", "-c", "1", "198.18.0.1"], check=False, stdout=subprocess.DEVNULL
    )
    rates: dict[str, list[float]] = {name: [] for name in SENDERS}
    for _ in range(ROUNDS):
        for name, send in SENDERS.items():
            rates[name].append(send(folder))
            time.sleep(0.5)
    (folder / "rates.json").write_text(json.dumps(rates))


def main() -> None:
    """Prints the medians and their ratios."""
    if len(sys.argv) > 1:
        return measure(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = open_plan(folder)
        probes = [
            f"{destination},{sport},{dport},{ttl},udp\n"
            for _, destination, _, sport, dport, ttl, _ in plan.draw(0, order="bench")
        ]
        (folder / "probes.csv").write_text("".join(probes))
        switches = [f"--set={switch}" for switch in SWITCHES]
        simulate = [sys.executable, "-m", "anabranch", "simulate", *switches]
        simulate += ["--prefixes", str(PREFIXES), "--prefixes-v6", "0", "--"]
        subprocess.run(
            [*simulate, sys.executable, __file__, name], check=True, env=os.environ
        )
        rates = json.loads((folder / "rates.json").read_text())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(
            f"{name}: {median / 1e3:,.0f} k/s, {median / medians['bare loop']:.2f} of "
            f"the bare loop, {median / medians['pycaracal']:.2f} x pycaracal"
        )
    return None


if __name__ == "__main__":
    main()
