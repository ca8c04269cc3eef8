"""Surveys whose targets are traced, on real packets."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from anabranch.cli.score import read_links
from examples import EXAMPLES
from onesurvey import judge, open_run, run_command, write_table
from surveying import KILLER, ONCE_IT_PROBES, command, survey, write_manifests
from tracerruns import SURE, links_of, trace
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.local.score import Links

TARGETS = [
    "240.0.0.0/19,udp,1,32,1",
    "240.0.32.0/20,icmp,2,32,1",
    "3fff::/60,udp,1,32,1",
    "3fff:0:0:10::/60,icmp6,1,32,1",
]
"""48 /24s and 32 /64s."""
DESTINATIONS = 48 + 32
TOOL = {"trace": {"prefixLenV4": 24, "prefixLenV6": 64}}
SLOW: dict[str, Any] = {"maxProbingRate": 2_000}


def read_table(data: Path, table: str, folder: Path) -> list[dict[str, Any]]:
    """The rows of a table of the results."""
    file = folder / f"{table}.jsonl"
    file.unlink(missing_ok=True)
    write_table(data, table, "jsonl", file)
    return [json.loads(line) for line in file.read_text().splitlines()]


def find_links(world: World, manifests: Path, data: Path) -> Links:
    """The links that were found, all of which there must be."""
    its = judge(world, manifests)
    found = read_links(data, its.assignments)
    score = its.judge(found)
    assert score.precision == 1
    # What a branching point misses is .05 at most, and few links are behind it.
    assert score.recall > 0.97
    return found


def test_each_destination_is_traced_once(tmp_path: Path) -> None:
    """In IPv4 and IPv6, by each protocol; all that is told agrees."""
    world = World(48, 32)
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL)
    data = tmp_path / "data"
    survey(world, manifests, data)
    find_links(world, manifests, data)
    traces = read_table(data, "traces", tmp_path)
    assert len({(row["prefix"], row["protocol"]) for row in traces}) == DESTINATIONS
    assert len(traces) == DESTINATIONS
    assert {row["algorithm"] for row in traces} == {"mdaLite"}
    probes = read_table(data, "probes", tmp_path)
    assert sum(row["probes"] for row in traces) == len(probes)
    outcome = json.loads(
        (data / open_run(data).root / "001-00/outcome.json").read_text()
    )
    assert (outcome["traced"], outcome["probes"]) == (DESTINATIONS, len(probes))
    answered = [row for row in probes if row["reply_protocol"] is not None]
    assert outcome["replies"] == len(answered) < len(probes)
    assert len(read_table(data, "replies", tmp_path)) == len(answered)
    late = [row for row in answered if row["capture_time_us"] <= row["sent_us"]]
    assert late == []
    silent = next(row for row in probes if row["reply_protocol"] is None)
    assert (silent["rtt_us"], silent["reply_src_addr"]) == (None, None)
    # The targets' TTLs count.
    first = {row["probe_protocol"]: row["probe_ttl"] for row in reversed(probes)}
    by_icmp = [row["probe_ttl"] for row in probes if row["probe_protocol"] == 1]
    assert (min(by_icmp), first[17]) == (2, 1)


def test_a_survey_traces_as_the_command_does(tmp_path: Path) -> None:
    """A few destinations, with the same flows."""
    world = World(48, 0)
    targets = [f"240.0.{number}.1/32,udp,1,32,1" for number in (5, 9, 30)]
    tool = {"trace": {}, "failureProbability": 1e-6}
    manifests = write_manifests(tmp_path / "m", targets, tool=tool)
    data = tmp_path / "data"
    survey(world, manifests, data)
    found = {
        (row["near_addr"], row["far_addr"])
        for row in read_table(data, "links", tmp_path)
    }
    destinations = [target.partition("/")[0] for target in targets]
    traced = trace(world, *destinations, "--algorithm", "mdaLite", *SURE)
    expected = {link for each in traced for link in links_of(each)}
    assert found == {link for link in expected if link[1] not in destinations}


def test_killed_again_and_again_it_ends_with_the_same_result(tmp_path: Path) -> None:
    """Nothing is traced twice, and nothing left out."""
    world = World(48, 32, switches={"delay": 0.2})
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL, agent=SLOW)
    words = command(manifests, tmp_path / "data")
    world.run("python3", "-c", KILLER, *words)
    find_links(world, manifests, tmp_path / "data")
    assert len(read_table(tmp_path / "data", "traces", tmp_path)) == DESTINATIONS


def test_interrupted_it_keeps_what_has_ended_and_goes_on(tmp_path: Path) -> None:
    """Destinations whose traces had not ended are traced again."""
    world = World(48, 32)
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL, agent=SLOW)
    data = tmp_path / "data"
    words = shlex.join(command(manifests, data))
    wait = f"{ONCE_IT_PROBES}; sleep 2"
    script = f"{words} & {wait}; kill -INT $!; wait $!; echo code $?"
    output = world.run("bash", "-c", f"set -m; {script}")
    assert "agent1: stopped in round 1: " in output
    assert output.endswith("code 130\n")
    parts = sorted(data.rglob("replies/*/*.parquet"))
    kept = [pq.read_table(part).num_rows for part in parts]
    survey(world, manifests, data)
    find_links(world, manifests, data)
    assert len(read_table(data, "traces", tmp_path)) == DESTINATIONS
    assert [pq.read_table(part).num_rows for part in parts] == kept


def test_a_network_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    """A link that goes down is one clear line; run again, it goes on."""
    world = World(48, 32)
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL, agent=SLOW)
    data = tmp_path / "data"
    down = f"{{ {ONCE_IT_PROBES}; ip link set eth0 down; }} &"
    code, _, error = run_command(world, manifests, data, f"{down} true")
    told = "can't send on eth0: Network is down (os error 100); see that it is up"
    assert (code, error.splitlines()[0]) == (1, f"anabranch: agent1: {told}")
    survey(world, manifests, data)
    find_links(world, manifests, data)
    assert len(read_table(data, "traces", tmp_path)) == DESTINATIONS


@pytest.mark.parametrize("all_of_them", [False, True])
def test_destinations_without_a_route_are_told(
    all_of_them: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """Each has a trace that says so; if all have none, nothing is traced."""
    world, data = World(16, 0), tmp_path / "data"
    targets = ["240.0.0.0/20,udp,1,32,1"]
    manifests = write_manifests(tmp_path / "m", targets, tool=TOOL)
    where = "240.0.0.0/20" if all_of_them else "240.0.3.0/24"
    route = f"exec 2>&1 && ip route add blackhole {where}"
    code, output, _ = run_command(world, manifests, data, route)
    if all_of_them:
        assert (code, "agent1: there is no route to 240.0." in output) == (1, True)
        return
    assert code == 0, output
    assert "agent1: 1 of 16 targets left out: 1 without a route" in output
    ends = {row["prefix"]: row for row in read_table(data, "traces", tmp_path)}
    assert len(ends) == 16
    lost = ends["240.0.3.0/24"]
    assert (lost["end_reason"], lost["probes"]) == ("refused", 0)
    assert lost["failure_probability"] is None


def test_loops_stars_and_balancing_by_packet_make_no_link(tmp_path: Path) -> None:
    """In a network that is full of them, links are those that there are."""
    switches = {"loops": 0.2, "per-packet": 0.3, "zero-ttl": 0.1, "loss": 0.02}
    world, data = World(48, 32, seed=6, switches=switches), tmp_path / "data"
    # A hop whose second interface was missed would seem to lead all flows.
    sure = TOOL | {"failureProbability": 1e-6}
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=sure)
    survey(world, manifests, data)
    its = judge(world, manifests)
    assert its.judge(read_links(data, its.assignments)).precision == 1


def test_a_rehearsal_finds_what_packets_find(tmp_path: Path) -> None:
    """Nearly the same links with as many probes: only the order of replies differs."""
    world = World(48, 32, switches=ANSWERING)
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL)
    data = tmp_path / "data"
    survey(world, manifests, data)
    found = find_links(world, manifests, data)
    its = judge(world, manifests)
    rehearsal = its.rehearse_one(its.assignments[0], tmp_path)
    assert len(found ^ rehearsal.links) < 0.03 * len(found)
    outcome = json.loads(
        (data / open_run(data).root / "001-00/outcome.json").read_text()
    )
    assert rehearsal.probes == pytest.approx(outcome["probes"], rel=0.03)


def test_a_dry_run_counts_destinations(tmp_path: Path) -> None:
    """Nobody knows yet how many probes they take."""
    manifests = write_manifests(tmp_path / "m", TARGETS, tool=TOOL)
    code, output, _ = run_command(
        World(48, 32), manifests, tmp_path / "data", "true", "--dry-run"
    )
    told = f"survey: agent1 would trace {DESTINATIONS} destinations at 100,000 probes/s"
    assert (code, output) == (0, f"{told}\n")


def test_the_example_finds_the_links_of_its_networks(tmp_path: Path) -> None:
    """As it is, by two agents."""
    world, example = World(vantage_points=2), EXAMPLES / "trace.yaml"
    survey(world, example, tmp_path)
    find_links(world, example, tmp_path)
