"""The commented manifest of a first survey, from one machine."""

from __future__ import annotations

import json
from dataclasses import dataclass

from anabranch.local.assignment import LOCALHOST

RATE = 200
"""A modest rate of probes a second: about 14 KB a second."""


@dataclass(frozen=True)
class Draft:
    """The inputs of a first survey."""

    contact: str
    targets: tuple[str, ...]
    """The prefixes to probe."""
    interfaces: tuple[tuple[str, str], ...]
    """The interface and source address of probes, for each address family."""
    is_reserved: bool
    """Whether a target lies in space that is not globally reachable."""
    rate: int = RATE

    def write(self) -> str:
        """Return the manifest, as YAML."""
        reserved = (
            "  # A target is not globally reachable: Agent and policy must allow it.\n"
            "  allowReserved: true\n"
            if self.is_reserved
            else ""
        )
        entries = "".join(f"    - target: {each}\n" for each in self.targets)
        found = "".join(
            f"  # Probes leave by {interface}, from {address}.\n"
            for interface, address in self.interfaces
        )
        return f"""\
# A survey from this machine. Say what it would send, then run it:
#   anabranch run --dry-run FILE
#   anabranch run FILE

# What may be probed, and how fast, whatever else is written here. While a survey runs,
# it follows this file: exclude a network, or set stop, and it is obeyed within seconds.
apiVersion: anabranch.dev/v1alpha1
kind: ProbingPolicy
metadata:
  name: default
spec:
  # Probes carry it, for people who wonder about them.
  contact: {json.dumps(self.contact)}
  # Nothing else is probed.
  allow: {json.dumps(list(self.targets))}
  # Networks that asked not to be probed.
  exclusions: []
  # Probes a second to one target, at most.
  maxRatePerPrefix: 10
  # true stops all probing.
  stop: false
{reserved}---
# What to probe: a prefix is split to /24s or /64s.
apiVersion: anabranch.dev/v1alpha1
kind: TargetList
metadata:
  name: targets
spec:
  entries:
{entries}---
# Where to probe from.
apiVersion: anabranch.dev/v1alpha1
kind: Agent
metadata:
  name: here
spec:
  nodeName: {LOCALHOST}
{found}  # To choose another: interface, sourceAddressV4, sourceAddressV6.
  # Probes a second.
  maxProbingRate: {self.rate}
{reserved}---
# How: rounds of Diamond-Miner until it asks for no more. yarrp: {{}} finds one path.
apiVersion: anabranch.dev/v1alpha1
kind: Measurement
metadata:
  name: first
spec:
  diamondMiner: {{}}
  agents:
    - name: here
      targetList: targets
"""
