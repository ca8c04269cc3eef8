"""What a survey found is an Internet, of which a survey finds the same."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from anabranch.cli import main
from onesurvey import read_links
from surveying import command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

TARGETS = [
    "240.0.0.0/20,udp,1,32,6",
    "240.0.0.0/22,icmp,1,32,6",
    "3fff::/61,icmp6,1,32,6",
]
SURE: dict[str, Any] = {"failureProbability": 1e-6}
"""So small that two surveys find the same."""


def read_truth(folder: Path) -> set[tuple[str, str]]:
    """The links of the files that ``--truth`` writes."""
    table = pq.read_table(folder / "links.parquet")
    columns = (table.column(name).to_pylist() for name in table.column_names)
    return set(zip(*columns, strict=True))


def test_a_survey_of_what_was_found_finds_it_again(tmp_path: Path) -> None:
    """From two vantage points, by three protocols, with silent routers and loops."""
    switches = {"silent-routers": 0.1, "loops": 0.2}
    drawn = World(16, 8, vantage_points=2, switches=switches)
    manifests = write_manifests(tmp_path / "any", TARGETS, points=2, **SURE)
    survey(drawn, manifests, tmp_path / "first")
    found = read_links(tmp_path / "first", tmp_path / "first.csv")
    measured = World(survey=tmp_path / "first")
    truth = tmp_path / "truth"
    simulate = [*measured.command[:-1], "--truth", str(truth), "--"]
    again = command(manifests, tmp_path / "second")
    subprocess.run([*simulate, *again], check=True, timeout=300)
    assert len(found) > 80
    assert read_truth(truth) == found
    assert read_links(tmp_path / "second", tmp_path / "second.csv") == found


def test_traceroute_sees_addresses_of_an_archive(tmp_path: Path) -> None:
    """Those of the real Internet too, to which there is no other way."""
    hops = [
        {"addr": f"192.0.2.{ttl}", "probe_ttl": ttl, "rtt": 1, "icmp_type": 11}
        | {"icmp_code": 0, "probe_id": 1, "probe_size": 44}
        for ttl in (1, 2, 4, 5)
    ]
    trace: dict[str, Any] = {
        "type": "trace",
        "version": "0.1",
        "method": "udp-paris",
        "hops": hops,
    }
    trace |= {"src": "192.0.2.99", "dst": "203.0.113.9", "hop_count": 5}
    trace |= {"sport": 24000, "dport": 33434, "stop_reason": "GAPLIMIT"}
    (tmp_path / "a.json").write_text(json.dumps(trace))
    data = tmp_path / "data"
    imported = ["import", str(tmp_path / "a.json"), "--allow-reserved"]
    assert main([*imported, "--data", str(data)]) == 0
    world = World(survey=data)
    output = world.run("traceroute", "-n", "-q1", "-w1", "-m6", "203.0.113.9")
    seen = [line.split()[1] for line in output.splitlines()[1:]]
    assert seen == ["192.0.2.1", "192.0.2.2", "*", "192.0.2.4", "192.0.2.5", "*"]
    routes = world.run("ip", "route", "show", "default")
    assert routes == ""


def test_a_namespace_with_other_links_is_no_place_for_real_addresses(
    tmp_path: Path,
) -> None:
    """They would be probed there when the simulation has ended."""
    words = f"{sys.executable} -m anabranch simulate --survey {tmp_path} --attach vp1"
    told = World().run("sh", "-c", f"{words} -- true 2>&1; test $? = 1")
    assert "--attach goes with a drawn Internet, not with --survey" in told
