"""Reports of surveys of 1,000 and of 100,000 /24s.

    make bench-report
    .venv/bin/python tests/bench/report.py --pictures FOLDER

The replies come from a simulated Internet, without packets: six flows at 32 TTLs. What
is measured is the command, from its start to its end: seconds, those of the processor,
its most memory, and the size of the page. A browser opens each page, light and dark,
and prints it.
"""

from __future__ import annotations

import argparse
import base64
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from anabranch.api import Agent, Measurement, ProbingPolicy
from anabranch.rounds.steps import FIRST
from anabranch.runs.record import RunRecord
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from bench.rounds import make_parts, make_targets
from browser import Browser, open_browser

SIZES = (1_000, 100_000)


def make_record() -> RunRecord:
    """What the run was started with."""

    def read(kind: Any, name: str, **spec: Any) -> Any:
        head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind.__name__}
        return kind.read({**head, "metadata": {"name": name}, "spec": spec})

    entry = {"name": "agent", "targetList": "list"}
    return RunRecord(
        uid="default.bench",
        measurement=read(Measurement, "bench", yarrp={}, agents=[entry]),
        entry="agent",
        agent=read(Agent, "agent", nodeName="localhost", allowReserved=True),
        policy=read(
            ProbingPolicy, "default", contact="bench@example.org", allowReserved=True
        ).spec,
        target_list=f"sha256:{'0' * 64}",
    )


def make_survey(folder: Path, prefixes: int) -> int:
    """A survey that has ended, in a folder; how many links it found."""
    store, record = DirectoryStore(folder / "data"), make_record()
    targets = make_targets(store.path(record.keys.targets), prefixes)
    parts = store.path(record.keys.step(FIRST).parts(0))
    make_parts(parts, targets, prefixes)
    store.put(record.keys.run, record.write())
    job = RoundJob(store, open_embedded(), record.keys, record.run_rules, folder)
    return job.conclude(FIRST).links


def report(folder: Path) -> str:
    """Writes a report: what it took, and the page's size."""
    page = folder / "report.html"
    words = ["report", "bench", "--data", str(folder / "data"), "--output", str(page)]
    start = time.perf_counter()
    program = [sys.executable, "-m", "anabranch", *words]
    with Path(os.devnull).open("wb") as nothing:
        quiet = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1)]
        child = os.posix_spawn(sys.executable, program, os.environ, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    took = time.perf_counter() - start
    if status:
        raise RuntimeError("the report failed")
    return (
        f"{took:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of the processor, "
        f"{used.ru_maxrss / 1024:,.0f} MB, page of {page.stat().st_size / 1000:,.0f} kB"
    )


def look(page: Path, pictures: Path | None) -> str:
    """Open the page in a browser; return how long that takes, and what it prints."""
    told = []
    with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as shown:
        shown.resize(1200, 900)
        for scheme in ("light", "dark"):
            start = time.perf_counter()
            shown.open(page.as_uri(), scheme=scheme)
            told.append(f"{scheme} after {time.perf_counter() - start:.1f} s")
            if pictures:
                draw(shown, pictures / f"{page.parent.name}-{scheme}.png")
        printed = shown.call("Page.printToPDF", printBackground=True)
        paper = base64.b64decode(printed["data"])
        if pictures:
            (pictures / f"{page.parent.name}.pdf").write_bytes(paper)
        sheets = paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ")
        if shown.complaints:
            raise RuntimeError(f"the browser complains: {shown.complaints}")
    return f"open {' and '.join(told)}, {sheets} sheets of paper"


def draw(shown: Browser, file: Path) -> None:
    """Write a picture of all of the page that is open."""
    taken = shown.call("Page.captureScreenshot", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(taken["data"]))


def main() -> None:
    """Print two lines for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder for pictures")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.make:
        folder, prefixes = Path(chosen.make[0]), int(chosen.make[1])
        links = make_survey(folder, prefixes)
        print(f"{prefixes:,} /24s, {links:,} links: ", end="", flush=True)
        return
    for prefixes in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / str(prefixes)
            folder.mkdir()
            # What starts a process counts as its memory: it must be small.
            words = [sys.executable, __file__, "--make", str(folder), str(prefixes)]
            subprocess.run(words, check=True)
            print(report(folder))
            print(look(folder / "report.html", chosen.pictures))


if __name__ == "__main__":
    main()
