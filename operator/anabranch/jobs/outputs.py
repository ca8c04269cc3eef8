"""What the results job writes in the formats that a measurement asks for."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.formats import ark, graph
from anabranch.formats.compression import compress
from anabranch.formats.itdk import write_itdk
from anabranch.formats.traces import NAMES, SUFFIXES, TraceFormat, write_traces
from anabranch.formats.yarrp import write_yarrp
from anabranch.report.facts import gather
from anabranch.report.page import write_page
from anabranch.store.keys import REPORT, REPORT_PAGE
from anabranch.warehouse.results import NothingYetError
from anabranch.warehouse.rows import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anabranch.store.keys import SurveyKeys
    from anabranch.warehouse.agentresults import AgentResults
    from anabranch.warehouse.results import Results


def put_outputs(
    results: Results, keys: SurveyKeys, outputs: Iterable[str]
) -> list[str]:
    """Store what was found in some formats; return those that there is something for.

    The engine of the results has to read files of this machine.
    """
    put: set[str] = set()
    for output in outputs:
        # If nobody found anything, there is no file.
        with (
            tempfile.TemporaryDirectory(dir=results.scratch) as folder,
            suppress(NothingYetError),
        ):
            for name, file in _write(results, output, Path(folder)):
                results.store.put_file(f"{keys.output(output)}/{name}", file)
                file.unlink()
                put.add(output)
    return sorted(put)


def _write(results: Results, output: str, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each file in a format, and the file."""
    if output in graph.FORMATS:
        file = scratch / f"links.{output}"
        graph.write_graph(results, file, output, target=None)
        yield _pack(file)
    elif output in {"itdk", "yarrp"}:
        folder = scratch / "files"
        if output == "itdk":
            write_itdk(results, folder, scratch)
        else:
            write_yarrp(results, folder)
        yield from map(_pack, sorted(folder.iterdir()))
    elif output == REPORT:
        file = scratch / REPORT_PAGE
        # It says nothing of what is known about addresses.
        facts = gather(replace(results, annotator=None), target=None)
        file.write_text(write_page(facts), "utf-8")
        yield file.name, file
    else:
        # An agent that failed before its start has nothing.
        for agent in results.agents:
            if "replies" in agent.kinds:
                yield from _write_agent(agent, output, scratch)


def _write_agent(
    agent: AgentResults, output: str, scratch: Path
) -> Iterator[tuple[str, Path]]:
    """Yield the name of each file with what an agent found, and the file."""
    if output == ark.NAME:
        yield from ark.write_ark(agent, scratch)
    elif output == "caracalCsv":
        file = scratch / f"{agent.keys.agent}.csv"
        write_rows(agent.engine, agent.caracal, "csv", file)
        yield _pack(file)
    else:
        file = scratch / f"{agent.keys.agent}.{SUFFIXES[output]}.gz"
        write_traces(agent, file, TraceFormat(NAMES[output], "gzip"), scratch)
        yield file.name, file


def _pack(file: Path) -> tuple[str, Path]:
    packed = compress(file, "gzip")
    return packed.name, packed
