"""Runs of a measurement by its Jobs alone, with agents that probe in process.

There is neither a cluster nor an operator; the store is real.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_network
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from anabranch_engine import Plan, Simulation, TargetList

from anabranch.api import Agent, Measurement, ProbingPolicy
from anabranch.cli import main
from anabranch.rounds.steps import FIRST
from anabranch.runs.chain import read_outcomes
from anabranch.runs.roster import Member, Roster
from anabranch.store.keys import RunKeys, SurveyKeys, shared_list
from parts import make_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv4Address
    from pathlib import Path

    from anabranch.rounds.outcome import Outcome
    from anabranch.rounds.steps import Step
    from anabranch.store.s3 import S3Store

    Probe = tuple[IPv4Address | IPv6Address, int, int, int, int, int]

LIST = (
    b"240.0.0.0/20,udp,1,20,6\n240.0.16.0/21,icmp,1,20,6\n"
    b"3fff::/61,udp,1,20,6\n3fff:0:0:8::/62,icmp6,1,20,6\n"
)
"""24 /24s and 12 /64s."""
AGENTS = ("paris", "tokyo.1")
SIMULATION = Simulation(
    prefixes_v4=24,
    prefixes_v6=12,
    vantage_points=len(AGENTS),
    seed=1,
    switches={"loss": 0.0, "loops": 0.1},
    topologies=(),
)
_ICMP = {
    ("time exceeded", 4): (1, 11, 0),
    ("echo", 4): (1, 0, 0),
    ("port unreachable", 4): (1, 3, 3),
    ("time exceeded", 6): (58, 3, 0),
    ("echo", 6): (58, 129, 0),
    ("port unreachable", 6): (58, 1, 4),
}
_LABEL = pa.struct(
    [
        pa.field("label", pa.uint32(), nullable=False),
        *(pa.field(name, pa.uint8(), nullable=False) for name in ("exp", "bos", "ttl")),
    ]
)
_TYPES: dict[str, pa.DataType] = {
    "capture_timestamp": pa.uint32(),
    "probe_protocol": pa.uint8(),
    **dict.fromkeys(("probe_src_addr", "probe_dst_addr"), pa.binary(16)),
    **dict.fromkeys(("probe_src_port", "probe_dst_port"), pa.uint16()),
    **dict.fromkeys(("probe_ttl", "quoted_ttl"), pa.uint8()),
    "reply_src_addr": pa.binary(16),
    **dict.fromkeys(("reply_protocol", "reply_icmp_type"), pa.uint8()),
    **dict.fromkeys(("reply_icmp_code", "reply_ttl"), pa.uint8()),
    "reply_size": pa.uint16(),
    "reply_mpls_labels": pa.list_(pa.field("item", _LABEL, nullable=False)),
    "rtt": pa.uint16(),
    "round": pa.uint8(),
    "capture_time_us": pa.uint64(),
    "rtt_us": pa.uint32(),
    "reply_id": pa.uint16(),
    **dict.fromkeys(("reply_tos", "quoted_tos"), pa.uint8()),
    "quoted_length": pa.uint16(),
    "destination_prefix_reply": pa.uint8(),
    **dict.fromkeys(("prefix_index", "flow"), pa.uint32()),
    "rewritten": pa.uint8(),
    "interface": pa.string(),
    "gateway": pa.binary(16),
}
COLUMNS = pa.schema(
    [pa.field(name, kind, nullable=False) for name, kind in _TYPES.items()]
)
"""Those of reply parts."""


@dataclass(frozen=True)
class JobRun:
    """A run, with the store of the environment."""

    store: S3Store
    scratch: Path
    uid: str
    environment: dict[str, str] = field(default_factory=dict)
    """What its Jobs are told besides."""
    run_id: str = "1"
    annotate_from: tuple[str, ...] = ()
    """The keys of objects that say what is known about addresses."""
    outputs: tuple[str, ...] = ()
    """The formats in which its traces are stored."""

    @property
    def keys(self) -> SurveyKeys:
        """Where its results are."""
        return SurveyKeys(self.uid, self.run_id)

    def agent_keys(self, agent: str) -> RunKeys:
        """Where an agent's part is."""
        return RunKeys(self.uid, self.run_id, agent)

    def start(self) -> None:
        """Puts what the operator puts: who takes part."""
        content = TargetList.read(io.BytesIO(LIST))
        self.store.put(shared_list(content.digest()), LIST)
        self.store.put(self.keys.roster, self._roster(content.digest()).write())

    def _roster(self, digest: str) -> Roster:
        def read(kind: Any, name: str, **spec: Any) -> Any:
            metadata = {"name": name, "namespace": "default"}
            return kind.read({"metadata": metadata, "spec": spec, **_head(kind)})

        everyone = {"name": "all", "selector": {}, "targetList": "list"}
        spec = {
            "diamondMiner": {},
            "agents": [everyone],
            "maxRounds": 2,
            "outputs": [*self.outputs],
            "annotateFrom": [{"object": {"key": key}} for key in self.annotate_from],
        }
        policy = {
            "contact": "tests@example.org",
            "allow": ["240.0.0.0/4", "3fff::/20"],
            "allowReserved": True,
        }
        members = [
            Member(
                entry="all",
                agent=read(Agent, name, nodeName=name, allowReserved=True),
            )
            for name in AGENTS
        ]
        return Roster(
            uid=self.uid,
            measurement=read(Measurement, "survey", runId=self.run_id, **spec),
            policy=read(ProbingPolicy, "default", **policy).spec,
            lists={"list": digest},
            members=tuple(members),
        )

    def do(self, job: str, *words: str) -> int:
        """Runs a job; its exit code."""
        run = ("--measurement", self.uid, "--run-id", self.run_id)
        with patch.dict(os.environ, self.environment):
            return main(["job", job, *run, *words])

    def load(self) -> int:
        """Loads it again; the command's exit code."""
        with patch.dict(os.environ, self.environment):
            return main(["load", self.uid, self.run_id])

    def begin(self, agent: str) -> None:
        """Has an agent's run begin."""
        assert self.do("begin", "--agent", agent) == 0

    def conclude(self, agent: str, step: Step, index: int = 0, of: int = 1) -> int:
        """Has a step be concluded by one of some workers; the job's exit code."""
        where = ("--agent", agent, "--step", str(step), "--workers", str(of))
        with patch.dict(os.environ, {"JOB_COMPLETION_INDEX": str(index)}):
            return self.do("conclude", *where)

    def read_outcomes(self, agent: str) -> dict[Step, Outcome]:
        """What the steps of an agent came to."""
        return read_outcomes(self.store, self.agent_keys(agent))

    def survey(self) -> None:
        """Does all of it."""
        self.start()
        for agent in AGENTS:
            self.begin(agent)
            self.go_on(agent, FIRST)
        assert self.do("results", *AGENTS) == 0

    def go_on(self, agent: str, step: Step | None) -> None:
        """Does an agent's steps from one on."""
        while step:
            self.probe(agent, step)
            assert self.conclude(agent, step) == 0
            step = self.read_outcomes(agent)[step].next_step

    def read_replies(self, agent: str) -> list[dict[str, Any]]:
        """All replies that an agent stored, in an order of theirs."""
        root = self.agent_keys(agent).root
        parts = (key for key in self.store.list(root) if "/replies/" in key)
        return [
            row
            for key in parts
            for row in pq.read_table(io.BytesIO(self.store.get(key))).to_pylist()
        ]

    def probe(self, agent: str, step: Step) -> None:
        """Stores the replies to a step, each block in two parts.

        In the second round a prefix has two replies to each probe.
        """
        keys = self.agent_keys(agent).step(step)
        plan = Plan(self.store.fetch(keys.plan, self.scratch))
        prefixes = {
            (row["protocol"], row["prefix"]): row["prefix_index"]
            for row in pq.read_table(plan.path).to_pylist()
        }
        for block in range(plan.blocks):
            # In an order that does not depend on the run's name.
            drawn = plan.draw(block, order="")
            probes = sorted((probe[1:] for probe in drawn), key=str)
            half = len(probes) // 2
            halves = (0, half, probes[:half]), (half, plan.end(block), probes[half:])
            for start, end, some in halves:
                asked = enumerate(some, start)
                rows = list(self._hear(AGENTS.index(agent), step, asked, prefixes))
                self.store.put(
                    f"{keys.parts(block)}/{start:016}.parquet",
                    _write_part(rows, len(some), end),
                )

    def _hear(
        self,
        point: int,
        step: Step,
        probes: Iterable[tuple[int, Probe]],
        prefixes: dict[tuple[int, bytes], int],
    ) -> Iterator[dict[str, Any]]:
        for slot, (destination, protocol, source, port, ttl, flow) in probes:
            octets = {17: source << 16 | port, 1: 8 << 24 | source}.get(
                protocol, 128 << 24 | source
            )
            found = SIMULATION.reply(point, destination, protocol, octets, ttl)
            if found is None:
                continue
            kind, address = found
            length = 24 if destination.version == 4 else 64
            network = ip_network((destination, length), strict=False)
            index = prefixes[protocol, _pack(str(network[0]))]
            icmp, of, code = _ICMP[kind, destination.version]
            time = 1_700_000_000_000_000 + slot * 100
            row = {
                "capture_timestamp": time // 1_000_000,
                "probe_protocol": protocol,
                "probe_src_addr": _pack("240.255.0.1" if length == 24 else "3fff::1"),
                "probe_dst_addr": _pack(str(destination)),
                "probe_src_port": source,
                "probe_dst_port": port,
                "probe_ttl": ttl,
                "quoted_ttl": 1,
                "reply_src_addr": _pack(address),
                "reply_protocol": icmp,
                "reply_icmp_type": of,
                "reply_icmp_code": code,
                "reply_ttl": 64,
                "reply_size": 56,
                "reply_mpls_labels": [{"label": 16, "exp": 0, "bos": 1, "ttl": 1}][
                    : ttl % 2
                ],
                "rtt": 100 + ttl,
                "round": step.round,
                "capture_time_us": time,
                "rtt_us": 10_000 + ttl * 100,
                "reply_id": slot % 65_536,
                "reply_tos": 0,
                "quoted_tos": 0,
                "quoted_length": 40,
                "destination_prefix_reply": int(_is_in(address, network)),
                "prefix_index": index,
                "flow": flow,
                "rewritten": 2 * int(ttl > 6),
                "interface": "eth0",
                "gateway": _pack("240.255.0.254" if length == 24 else "fe80::1"),
            }
            yield row
            if step.round == 2 and index == min(prefixes.values()):
                yield row | {"capture_time_us": time + 1}


def _is_in(address: str, network: Any) -> bool:
    return ip_network(address).version == network.version and ip_network(
        address
    ).subnet_of(network)


def _pack(address: str) -> bytes:
    return IPv6Address(f"::ffff:{address}" if "." in address else address).packed


def _write_part(rows: list[dict[str, Any]], probes: int, end: int) -> bytes:
    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        names = ("probe_dst_addr", "probe_protocol", "probe_src_port", "probe_ttl")
        return tuple(row[name] for name in names)

    table = pa.Table.from_pylist(sorted(rows, key=place), schema=COLUMNS)
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(make_head(probes, end=end)), out)
    return out.getvalue()


def _head(kind: type) -> dict[str, str]:
    return {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind.__name__}
