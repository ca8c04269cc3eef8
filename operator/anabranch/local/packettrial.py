"""A trial of a tool on packets: it traces many copies of a topology.

All of it happens in the namespaces of a simulation.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from anabranch_engine import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DESTINATIONS = "{destinations}"
"""Stands in a command for a file with the destinations, one a line."""
_RATE = 10_000
"""Probes a second of our own tracers: the most that scamper sends, too."""

Links: TypeAlias = set[tuple[str, str]]
_Read: TypeAlias = "Callable[[Mapping[str, Any]], tuple[str, str | None, Links] | None]"


@dataclass(frozen=True)
class Tool:
    """A command that traces destinations, and how to read what it writes."""

    command: str
    """For the shell; `DESTINATIONS` in it stands for their file."""
    read: _Read
    """Returns the destination, why it was switched to the MDA, and the links of a
    line's document; None if that is no trace."""


@dataclass
class Tally:
    """Sums over some runs."""

    failures: int = 0
    """The number of runs that did not find exactly the links of the topology."""
    probes: float = 0
    """The number of packets sent."""
    vertices: int = 0
    """The number of interfaces found."""
    edges: int = 0
    """The number of links found."""
    switches: dict[str, int] = field(default_factory=dict)
    """The number of runs in which MDA-Lite switched to the MDA, by reason."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    samples: list[Tally]
    untraced: int
    """The number of destinations without a trace; each is a failure."""
    lost: int
    """The number of packets that the simulator lost, since it could not keep up."""


def name_tool(command: str) -> Tool:
    """Return the tool that a command runs, which writes JSON as scamper does.

    Raises:
        ValueError: If the command has no place for destinations.
    """
    if DESTINATIONS not in command:
        message = (
            f"--command needs {DESTINATIONS}: it stands for a file with the "
            "destinations, one a line"
        )
        raise ValueError(message)
    return Tool(command, _read_tracelb)


def name_tracer(algorithm: str, failure_probability: float, phi: int) -> Tool:
    """Return our own tracer, without the test that the paper does not have."""
    words = [sys.executable, "-m", "anabranch", "trace", "--format", "json"]
    words += ["--algorithm", algorithm, "--phi", str(phi), "--allow-reserved"]
    words += ["--failure-probability", repr(failure_probability)]
    words += ["--no-per-packet-test", "--rate", str(_RATE)]
    return Tool(f"{shlex.join(words)} $(cat {DESTINATIONS})", _read_trace)


@dataclass(frozen=True)
class PacketTrial:
    """What a tool is put to: a copy of a topology for each run."""

    topology: Path
    links: Links
    """The links of the topology, between interfaces."""
    samples: int
    runs: int
    """The runs in a sample."""
    seed: int

    def run(self, tool: Tool) -> Outcome:
        """Let a tool trace all copies.

        Raises:
            OSError: If a file can't be read.
            PermissionError: If the process may not make namespaces.
            ValueError: If the tool fails, or writes something else than traces.
        """
        if not self.links:
            message = f"{self.topology} has no link between interfaces; add one"
            raise ValueError(message)
        simulation = Simulation(
            prefixes_v4=0,
            prefixes_v6=0,
            vantage_points=1,
            seed=self.seed,
            switches={},
            topologies=[self.topology],
            copies=self.samples * self.runs,
        )
        drawn = str(simulation.destinations[0][0])
        destinations = [str(routed) for _, routed in simulation.destinations]
        with tempfile.TemporaryDirectory() as folder:
            names, output = Path(folder, "destinations"), Path(folder, "output")
            names.write_text("".join(f"{name}\n" for name in destinations))
            command = tool.command.replace(DESTINATIONS, shlex.quote(str(names)))
            script = 'exec sh -c "$1" >"$2" </dev/null'
            words = ["sh", "-c", script, "sh", command, str(output)]
            code, received, _, lost = simulation.run(words)
            if code:
                raise ValueError(f"the command failed with the exit code {code}")
            with output.open() as lines:
                found = _read(lines, tool.read, destinations)
        tallies = [
            _sum_up(found, destinations[start : start + self.runs], drawn, self.links)
            for start in range(0, len(destinations), self.runs)
        ]
        for tally in tallies:
            # The simulator does not tell packets by their run.
            tally.probes = received / self.samples
        return Outcome(tallies, len(destinations) - len(found), lost)


def _read(
    lines: Iterable[str], read: _Read, destinations: list[str]
) -> dict[str, tuple[str | None, Links]]:
    """Read traces, by destination.

    Raises:
        ValueError: If a line is no JSON or no trace of these destinations, or if there
            is no trace at all.
    """
    known = set(destinations)
    found: dict[str, tuple[str | None, Links]] = {}
    for number, line in enumerate(lines, 1):
        try:
            traced = read(json.loads(line))
        except (ValueError, LookupError, TypeError, AttributeError):
            message = (
                f"line {number} of the command's output is no trace as scamper's "
                "tracelb writes it in JSON: {line[:60].strip()!r}"
            )
            raise ValueError(message) from None
        if traced is None:
            continue
        destination, switch, links = traced
        if destination not in known:
            raise ValueError(
                f"the command traces {destination}, which is not asked for"
            )
        if destination in found:
            raise ValueError(f"the command traces {destination} twice")
        found[destination] = (switch, links)
    if not found:
        raise ValueError("the command writes no trace")
    return found


def _read_tracelb(document: Mapping[str, Any]) -> tuple[str, str | None, Links] | None:
    if document["type"] != "tracelb":
        return None
    links = {
        (str(node["addr"]), str(link["addr"]))
        for node in document.get("nodes", ())
        # The first list has the next hop; others, what is behind a silent one.
        for link in node["links"][0]
    }
    return str(document["dst"]), None, links


def _read_trace(document: Mapping[str, Any]) -> tuple[str, str | None, Links]:
    ends = [(link["near"], link["far"]) for link in document["links"]]
    # What is before the first router has no address.
    links = {(near, far or "*") for near, far in ends if near}
    return document["destination"], document["switch_reason"], links


def _sum_up(
    found: Mapping[str, tuple[str | None, Links]],
    destinations: list[str],
    drawn: str,
    true: Links,
) -> Tally:
    """Compare what was found of some copies with what there is."""
    tally = Tally()
    for destination in destinations:
        switch, links = found.get(destination, (None, set()))
        links = {(near, drawn if far == destination else far) for near, far in links}
        real = links & true
        tally.failures += links != true
        tally.edges += len(real)
        tally.vertices += len({end for link in real for end in link})
        if switch:
            tally.switches[switch] = tally.switches.get(switch, 0) + 1
    return tally
