"""Commands in a simulated Internet, and what the truth says of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from anabranch_engine import Simulation

if TYPE_CHECKING:
    from pathlib import Path

ANSWERING = {"hosts": 1.0, "silent-routers": 0.0}
"""Switches of an Internet in which all answers: nobody waits for what does not come."""


@dataclass(frozen=True)
class World:
    """A simulated Internet, to be looked into and to run commands in."""

    prefixes: int = 1000
    prefixes_v6: int = 200
    vantage_points: int = 1
    seed: int = 1
    switches: dict[str, float] = field(default_factory=dict)
    topologies: tuple[Path, ...] = ()
    survey: Path | None = None
    """The folder of a survey whose paths it has, instead of drawn ones."""

    @property
    def simulation(self) -> Simulation:
        """Where the truth comes from, if it is drawn."""
        return Simulation(
            prefixes_v4=self.prefixes,
            prefixes_v6=self.prefixes_v6,
            vantage_points=self.vantage_points,
            seed=self.seed,
            switches=self.switches,
            topologies=self.topologies,
        )

    @property
    def command(self) -> list[str]:
        """What runs a command in it, but for the command."""
        drawn: dict[str, object] = {
            "--prefixes": self.prefixes,
            "--prefixes-v6": self.prefixes_v6,
            "--vantage-points": self.vantage_points,
        }
        measured: dict[str, object] = {"--survey": self.survey}
        options = (measured if self.survey else drawn) | {"--seed": self.seed}
        words = [word for name, value in options.items() for word in (name, str(value))]
        words += [f"--set={name}={value}" for name, value in self.switches.items()]
        words += [f"--topology={file}" for file in self.topologies]
        return [sys.executable, "-m", "anabranch", "simulate", *words, "--"]

    def run(self, *command: str, seconds: float = 600) -> str:
        """What a command writes, that must succeed in time."""
        done = subprocess.run(
            [*self.command, *command],
            capture_output=True,
            check=False,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(
        self,
        destination: str,
        protocol: int = 17,
        octets: int = 0,
        vantage_point: int = 0,
        *,
        labels_flows: bool = False,
    ) -> list[str]:
        """The addresses that a flow meets, with * for a router that does not answer."""
        to = ip_address(destination)
        path = self.simulation.path(
            vantage_point, to, protocol, octets, labels_flows=labels_flows
        )
        return [address if answers else "*" for address, answers in path]

    def links(
        self, destination: str, octets: list[int], protocol: int = 17
    ) -> set[tuple[str, str]]:
        """The links that flows of a trace can cross."""
        to = [ip_address(destination)]
        links = self.simulation.links_of_flows(
            0, to, protocol, octets, labels_flows=True
        )
        return {(near, far) for near, far, _ in links}


def ports(source: int, destination: int) -> int:
    """The first four octets behind the IP header of UDP and TCP."""
    return source << 16 | destination
