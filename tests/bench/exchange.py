"""How fast traces of other tools come in and go out, and in how much memory.

    make bench-exchange
    .venv/bin/python tests/bench/exchange.py --traces 1000000

So many traces of 15 hops, and four times as many. Each command runs in a process of its
own, whose peak memory the kernel reports: all of it counts, the interpreter too. Memory
is bounded if four times the traces take hardly more.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from anabranch_engine import TraceWriter

import anabranch
from anabranch.cli import main as run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACES = 20_000
TIMES = 4
HOPS = 15
AT_ONCE = 20_000
"""The traces whose rows are made at once."""
BEGAN_US = 1_700_000_000_000_000
DESTINATIONS, ROUTERS = 0x2000_0000, 0x4000_0000
"""The first addresses of both; destinations are a /24 apart."""


def make_rows(first: int, count: int) -> pa.Table:
    """Rows of traces as parts have them; routers of later hops are more.

    One probe in ten has no reply, and the destination answers.
    """
    traces = np.repeat(np.arange(first, first + count, dtype=np.uint32), HOPS)
    ttls = np.tile(np.arange(1, HOPS + 1, dtype=np.uint8), count)
    destinations = DESTINATIONS + (traces << 8) + 9
    # At hop h, all destinations of a share of 4^(15 - h) pass one router.
    shares = traces >> (2 * (HOPS - ttls.astype(np.uint32))).clip(0, 31)
    routers = ROUTERS + (ttls.astype(np.uint32) << 24) + (shares << 2)
    is_last = ttls == HOPS
    silent = (traces * 7 + ttls * 3) % 10 == 0
    silent &= ~is_last
    sent = BEGAN_US + traces.astype(np.uint64) * 1_000 + ttls * np.uint64(100)
    rtts = 1_000 * ttls.astype(np.uint32)
    rows = len(traces)

    def fill(value: int, kind: Any, *, mask: Any = None) -> Any:
        return pa.array(np.full(rows, value, dtype=kind), mask=mask)

    def answered(values: Any) -> Any:
        return pa.array(values, mask=silent)

    labels = pa.list_(
        pa.struct(
            [
                ("label", pa.uint32()),
                *((name, pa.uint8()) for name in ("exp", "bos", "ttl")),
            ]
        )
    )
    return pa.table(
        {
            "prefix_index": pa.array(traces),
            "probe_protocol": fill(17, np.uint8),
            "probe_dst_addr": pack(destinations),
            "probe_src_addr": pack(np.full(rows, DESTINATIONS - 1, np.uint32)),
            "probe_src_port": fill(24_000, np.uint16),
            "probe_dst_port": fill(33_434, np.uint16),
            "flow": fill(0, np.uint32),
            "probe_ttl": pa.array(ttls),
            "attempt": fill(1, np.uint8),
            "sent_us": pa.array(sent),
            "reply_src_addr": pack(np.where(is_last, destinations, routers), silent),
            "reply_protocol": fill(1, np.uint8, mask=silent),
            "reply_icmp_type": answered(np.where(is_last, 3, 11).astype(np.uint8)),
            "reply_icmp_code": answered(np.where(is_last, 3, 0).astype(np.uint8)),
            "reply_ttl": fill(240, np.uint8, mask=silent),
            "reply_tos": fill(0, np.uint8, mask=silent),
            "reply_size": fill(56, np.uint16, mask=silent),
            "reply_id": answered((traces & 0xFFFF).astype(np.uint16)),
            "capture_time_us": answered(sent + rtts),
            "rtt_us": answered(rtts),
            "quoted_ttl": fill(1, np.uint8, mask=silent),
            "quoted_tos": fill(0, np.uint8, mask=silent),
            "quoted_length": fill(44, np.uint16, mask=silent),
            "destination_prefix_reply": answered(is_last.astype(np.uint8)),
            "reply_mpls_labels": pa.nulls(rows, labels),
        }
    )


def pack(addresses: Any, silent: Any = None) -> pa.Array[Any]:
    """IPv4 addresses as 16 bytes each, null where nothing replied."""
    octets = np.zeros((len(addresses), 16), np.uint8)
    octets[:, 10:12] = 255
    octets[:, 12:] = addresses.astype(">u4").view(np.uint8).reshape(-1, 4)
    validity = None
    if silent is not None:
        validity = pa.py_buffer(np.packbits(~silent, bitorder="little").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(addresses), [validity, pa.py_buffer(octets.tobytes())]
    )


def write_file(file: Path, file_format: str, traces: int) -> None:
    """A file with so many traces."""
    writer = TraceWriter(
        file,
        file_format,
        compression=None,
        is_multipath=False,
        name="bench",
        monitor="bench",
        start=BEGAN_US // 1_000_000,
        stop=BEGAN_US // 1_000_000 + 1,
    )
    for first in range(0, traces, AT_ONCE):
        writer.write(make_rows(first, min(AT_ONCE, traces - first)))
    if writer.close() != traces:
        raise RuntimeError("not all traces were written")


def measure(task: str, *words: str) -> None:
    """Does a task; prints the seconds, and the peak memory in MB."""
    start = time.perf_counter()
    if task == "stream":
        folder, table = words
        survey = anabranch.open(folder, "bench")
        with survey.stream(table) as batches:
            rows = sum(len(batch) for batch in batches)
        if not rows:
            raise RuntimeError("there are no rows")
    elif run_command([task, *words]):
        raise RuntimeError(f"{task} failed")
    print(time.perf_counter() - start, read_peak_megabytes())


def read_peak_megabytes() -> float:
    """The most memory that this process had; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e6


def run(*words: str) -> tuple[float, float]:
    """The seconds and the memory of a task in a process of its own."""
    command = [sys.executable, __file__, "measure", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    *_, told = done.stdout.splitlines()
    seconds, megabytes = map(float, told.split())
    return seconds, megabytes


def measure_all(folder: Path, traces: int) -> Iterator[tuple[str, float, float]]:
    """Yields each task with its seconds and its memory."""
    data = folder / "data"
    yield ("import warts", *import_file(folder, data, "warts", traces))
    for file_format in ("warts", "scamper-json"):
        file = folder / f"out.{file_format}"
        words = ("--format", file_format, "--data", str(data), "--output", str(file))
        yield (f"export {file_format}", *run("results", "bench", *words))
        file.unlink()
    for table in ("probes", "links"):
        yield (f"stream {table}", *run("stream", str(data), table))
    shutil.rmtree(data)
    yield ("import scamper-json", *import_file(folder, data, "scamper-json", traces))


def import_file(
    folder: Path, data: Path, file_format: str, traces: int
) -> tuple[float, float]:
    """The seconds and the memory that the import of a new file takes."""
    file = folder / f"in.{file_format}"
    write_file(file, file_format, traces)
    found = run("import", str(file), "--name", "bench", "--data", str(data))
    file.unlink()
    return found


def main() -> None:
    """Prints a line a task."""
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--traces", type=int, default=TRACES)
    few = parser.parse_args().traces
    before: dict[str, float] = {}
    print(
        f"{'':<22}{'traces':>12}{'seconds':>10}{'traces/s':>10}{'MB':>8}{'growth':>8}"
    )
    for traces in (few, TIMES * few):
        with tempfile.TemporaryDirectory() as name:
            for task, seconds, megabytes in measure_all(Path(name), traces):
                growth = megabytes / before.setdefault(task, megabytes)
                print(
                    f"{task:<22}{traces:>12,}{seconds:>10.1f}{traces / seconds:>10,.0f}"
                    f"{megabytes:>8,.0f}{growth:>8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
