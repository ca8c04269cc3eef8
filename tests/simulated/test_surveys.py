"""Whole surveys on real packets: what they find, and what stops them."""

from __future__ import annotations

import contextlib
import csv
import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow.parquet as pq
import pytest
from anabranch_engine import Plan

from anabranch.api import Measurement
from anabranch.local.assignment import assign_all
from anabranch.local.manifest import load_manifests
from anabranch.local.runs import find_runs, open_results
from anabranch.local.score import Judge, tell
from anabranch.rounds.steps import FIRST, Step
from anabranch.runs.chain import read_outcomes
from anabranch.store.directory import DirectoryStore
from anabranch.store.s3 import S3Store
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.pieces import PIECE_ROWS
from diamondminer import DiamondMiner, name_prefix
from surveying import command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from devcluster.s3 import S3

TARGETS = [
    "240.0.0.0/18,udp,1,32,6",
    "240.0.64.0/19,icmp,1,32,6",
    "3fff::/59,udp,1,32,6",
    "3fff:0:0:20::/60,icmp6,1,32,6",
]
"""96 /24s and 48 /64s."""


def open_run(data: Path) -> RunKeys:
    """The run of the only agent."""
    (run,) = find_runs(data, "default", "survey", None)
    return run


def write_table(data: Path, table: str, output_format: str, file: Path) -> None:
    """Writes a table of the results of all agents."""
    with open_results(data, find_runs(data, "default", "survey", None)) as results:
        results.write(table, output_format, file)


def read_links(data: Path, file: Path) -> set[tuple[str, str]]:
    """The near and far address of all links that were found."""
    write_table(data, "links", "csv", file)
    with file.open(newline="") as rows:
        return {
            (row["near_address"], row["far_address"]) for row in csv.DictReader(rows)
        }


def judge(world: World, manifests: Path, flows: int = 256) -> Judge:
    """Who knows what a survey was to find."""
    loaded = load_manifests([str(manifests)], lambda: sys.stdin.buffer)
    (document,) = loaded.of_kind(Measurement)
    return Judge(world.simulation, list(assign_all(loaded, document)), flows)


def rehearse(world: World, manifests: Path, folder: Path) -> set[tuple[int, int]]:
    """The links that the first agent finds in process."""
    its = judge(world, manifests)
    links, _ = its.rehearse_one(its.assignments[0], folder)
    return links


@pytest.mark.parametrize(
    ("seed", "switches"),
    [
        (1, {"loss": 0.03, "hosts": 1.0}),
        (2, {"loss": 0.1, "loops": 0.05, "weighted": 0.3}),
        (3, {"amplification": 0.1, "per-packet": 0.1, "loss": 0.02}),
    ],
)
def test_links_and_plans_are_those_of_diamond_miner(
    seed: int, switches: dict[str, float], tmp_path: Path
) -> None:
    """By its own queries, on the same replies; with loss, loops and amplification."""
    world = World(96, 48, seed=seed, switches=switches)
    data = tmp_path / "data"
    survey(world, write_manifests(tmp_path / "manifests", TARGETS), data)
    write_table(data, "replies", "caracal-csv", tmp_path / "replies.csv")
    theirs = DiamondMiner(tmp_path / "replies.csv")
    theirs.find_links()
    store, keys, engine = DirectoryStore(data), open_run(data), open_embedded()
    links = store.read_sql(f"{keys.root}/*/links/*.parquet")
    prefixes = store.read_sql(f"{keys.root}/*/prefixes/*.parquet")
    targets = store.read_sql(keys.targets)
    amplified = f"SELECT prefix_index FROM {prefixes} WHERE has_amplification"
    ours = engine.read(
        "SELECT protocol, IPv6NumToString(prefix), near_round, far_round, near_ttl, "
        "IPv6NumToString(near_addr), IPv6NumToString(far_addr), sum(flows) "
        f"FROM {links} AS links INNER JOIN {targets} AS targets USING (prefix_index) "
        f"WHERE prefix_index NOT IN ({amplified}) GROUP BY ALL"
    )
    wanted = theirs.select(
        "SELECT probe_protocol, probe_dst_prefix, near_round, far_round, near_ttl, "
        "near_addr, far_addr, count() FROM links__ours WHERE NOT is_partial "
        "GROUP BY ALL"
    )
    assert len(ours) > 1000
    assert {tuple(row.values()) for row in ours.to_pylist()} == {
        (*row[:-1], int(row[-1])) for row in wanted
    }
    flagged = engine.read(
        "SELECT protocol, IPv6NumToString(prefix), max(has_amplification) "
        f"FROM {prefixes} AS known INNER JOIN {targets} AS targets "
        "USING (prefix_index) GROUP BY ALL"
    )
    assert {tuple(row.values()) for row in flagged.to_pylist()} == set(
        theirs.select(
            "SELECT probe_protocol, probe_dst_prefix, has_amplification "
            "FROM prefixes__ours"
        )
    )
    check_plans(theirs, store, keys)


def check_plans(theirs: DiamondMiner, store: DirectoryStore, keys: RunKeys) -> None:
    """The plan of each round has diamond-miner's flows for each prefix and TTL."""
    first = pq.read_table(store.path(keys.targets)).to_pylist()
    initial = ", ".join(
        f"({row['protocol']}, '{name_prefix(row['prefix'])}', {ttl}, "
        f"{row['flow_count']}, 1)"
        for row in first
        for ttl in range(row["min_ttl"], row["max_ttl"] + 1)
    )
    theirs.select(f"INSERT INTO probes__ours VALUES {initial}")
    rounds = sorted(store.root.glob(f"{keys.root}/*-00/plan.parquet"))
    assert len(rounds) > 2
    for number, file in enumerate(rounds[1:], 2):
        theirs.plan(number - 1, 0.05)
        wanted = {
            (row["probe_protocol"], row["probe_dst_prefix"], ttl): (sent, total - sent)
            for row in theirs.read_plan(number)
            for ttl, total, sent in row["probes_per_ttl"]
            if total > sent
        }
        ours = {
            (row["protocol"], name_prefix(row["prefix"]), ttl): (
                row["first_flow"],
                row["flow_count"],
            )
            for row in pq.read_table(file).to_pylist()
            for ttl in range(row["min_ttl"], row["max_ttl"] + 1)
        }
        assert ours == wanted


def test_a_survey_finds_exactly_what_its_rule_finds_in_process(tmp_path: Path) -> None:
    """From two vantage points, of which one is behind translation; and no more."""
    world = World(96, 48, vantage_points=2)
    manifests = write_manifests(
        tmp_path / "manifests", TARGETS, points=2, failureProbability=0.3
    )
    survey(world, manifests, tmp_path / "data")
    found = {
        (tell(near), tell(far))
        for near, far in read_links(tmp_path / "data", tmp_path / "links.csv")
    }
    its = judge(world, manifests)
    expected = set()
    for assignment in its.assignments:
        links, _ = its.rehearse_one(assignment, tmp_path)
        expected |= links
    assert found == expected
    score = its.judge(found)
    assert score.precision == 1
    assert 0.95 < score.recall < 1


@pytest.fixture(params=["pieces", "s3"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, int]:
    """An empty store, and how many rows a round job over it looks at together."""
    if request.param == "pieces":
        return DirectoryStore(tmp_path / "elsewhere"), 1_000
    server: S3 = request.getfixturevalue("s3")
    return S3Store(server.bucket, endpoint_url=server.url), PIECE_ROWS


def test_round_jobs_do_the_same_in_pieces_and_over_s3(
    elsewhere: tuple[Store, int], tmp_path: Path
) -> None:
    """The same links and plans, where memory is short and where parts are far away."""
    world = World(96, 48, switches={"loss": 0.05, "amplification": 0.05})
    data = tmp_path / "data"
    survey(world, write_manifests(tmp_path / "manifests", TARGETS), data)
    keys, here, (there, piece_rows) = open_run(data), DirectoryStore(data), elsewhere
    for key in here.list(keys.root):
        if "/replies/" in key or key == keys.targets:
            there.put(key, here.get(key))
    (assignment,) = judge(world, tmp_path / "manifests" / "survey.yaml").assignments
    rules = assignment.record.run_rules
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    engine = open_embedded()
    job = RoundJob(there, engine, keys, rules, scratch, piece_rows)
    job.begin()
    step: Step | None = FIRST
    while step:
        plan = pq.read_table(there.fetch(keys.step(step).plan, scratch))
        expected = pq.read_table(here.path(keys.step(step).plan))
        assert plan.to_pylist() == expected.to_pylist(), step
        step = job.conclude(step).next_step
    links = f"{keys.root}/*/links/*.parquet"
    rows = [
        engine.read(f"SELECT * FROM {store.read_sql(links)} ORDER BY ALL")
        for store in (here, there)
    ]
    assert rows[0] == rows[1]


class CrashError(Exception):
    """What ends a process."""


@dataclass
class CrashingStore:
    """A store of which each put ends the process twice: before, and then after it."""

    store: DirectoryStore
    tries: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def _crash(self, key: str, put: Callable[[], bool]) -> bool:
        self.tries[key] += 1
        if self.tries[key] == 1:
            raise CrashError(key)
        done = put()
        if self.tries[key] == 2:
            raise CrashError(key)
        return done

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object there, perhaps."""
        return self._crash(key, lambda: self.store.put(key, content))

    def put_file(self, key: str, file: Path) -> bool:
        """The same with a file's content."""
        return self._crash(key, lambda: self.store.put_file(key, file))


def test_a_round_job_may_end_before_and_after_each_thing_that_it_puts(
    tmp_path: Path,
) -> None:
    """What it leaves is what one leaves that nothing has stopped."""
    world = World(32, 16)
    targets = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
    data, again = tmp_path / "data", DirectoryStore(tmp_path / "again")
    survey(world, write_manifests(tmp_path / "manifests", targets), data)
    keys, whole, engine = open_run(data), DirectoryStore(data), open_embedded()
    for key in whole.list(keys.root):
        if "/replies/" in key or key == keys.targets:
            again.put(key, whole.get(key))
    (assignment,) = judge(world, tmp_path / "manifests" / "survey.yaml").assignments
    rules = assignment.record.run_rules
    crashing, step, crashes = CrashingStore(again), cast("Step | None", FIRST), 0
    while step:
        scratch = tmp_path / f"scratch-{crashes}"
        scratch.mkdir()
        job = RoundJob(cast("Store", crashing), engine, keys, rules, scratch)
        try:
            outcomes = read_outcomes(cast("Store", crashing), keys)
            step = outcomes[max(outcomes)].next_step if outcomes else FIRST
            if step == FIRST:
                job.begin()
            while step:
                step = job.conclude(step).next_step
        except CrashError:
            crashes += 1
    assert crashes == 2 * len(crashing.tries) > 40
    for key in whole.list(keys.root):
        if key.endswith("plan.parquet"):
            assert pq.read_table(again.path(key)) == pq.read_table(whole.path(key))
    links = f"{keys.root}/*/links/*.parquet"
    rows = [
        engine.read(f"SELECT * FROM {store.read_sql(links)} ORDER BY ALL")
        for store in (whole, again)
    ]
    assert rows[0] == rows[1]


ONCE_IT_PROBES = (
    'until awk \'/eth0:/ { sub(":", " "); exit $11 < 500 } END { }\' /proc/net/dev; '
    "do sleep 0.1; done"
)
"""Waits, in a shell, until so many packets were sent: a start may take seconds."""
KILLER = """
import random, subprocess, sys, time
chance, command = random.Random(5), sys.argv[1:]
for _ in range(12):
    survey = subprocess.Popen(command)
    time.sleep(chance.uniform(1, 3.5))
    survey.kill()
    survey.wait()
subprocess.run(command, check=True)
"""


def test_a_survey_that_is_killed_again_and_again_ends_with_the_same_result(
    tmp_path: Path,
) -> None:
    """Whatever it was about to do; nothing is counted twice."""
    world = World(96, 48, switches={"delay": 0.2})
    manifests = write_manifests(
        tmp_path / "manifests", TARGETS, agent={"maxProbingRate": 5_000}
    )
    words = command(manifests, tmp_path / "data")
    world.run("python3", "-c", KILLER, *words, seconds=300)
    found = read_links(tmp_path / "data", tmp_path / "links.csv")
    expected = rehearse(world, manifests, tmp_path)
    assert {(tell(near), tell(far)) for near, far in found} == expected
    (left,) = (tmp_path / "data").glob(".*")
    assert left.name == ".default.survey.lock"


@pytest.mark.parametrize(
    ("tool", "targets", "sent"),
    [
        ("yarrp", ["240.0.0.0/20,udp,1,20,1"], 16 * 20),
        ("ping", ["240.0.1.0/28,icmp,1,32,2", "3fff::1/128,icmp6,1,32,1"], 16 * 2 + 1),
    ],
)
def test_yarrp_and_ping_are_surveys_of_one_step(
    tool: str, targets: list[str], sent: int, tmp_path: Path
) -> None:
    """Yarrp sends all at once, ping to each address at the last TTL."""
    world = World(32, 1, switches={"hosts": 1.0, "silent-routers": 0.0})
    manifests = write_manifests(tmp_path / "manifests", targets, tool={tool: {}})
    survey(world, manifests, tmp_path / "data")
    (plan,) = (tmp_path / "data").glob("agents/agent1/*/1/*/plan.parquet")
    assert Plan(plan).probes == sent
    write_table(tmp_path / "data", "replies", "jsonl", tmp_path / "replies.jsonl")
    lines = (tmp_path / "replies.jsonl").read_text().splitlines()
    replies = [json.loads(line) for line in lines]
    assert len(replies) == sent
    if tool == "ping":
        assert {reply["reply_icmp_type"] for reply in replies} == {0, 129}
        assert {reply["probe_ttl"] for reply in replies} == {32}


def run_command(
    world: World, manifests: Path, data: Path, before: str = "true", *options: str
) -> tuple[int, str, str]:
    """`anabranch run` in a simulation: its exit code, output and last error."""
    words = command(manifests, data, *options)
    done = subprocess.run(
        [*world.command, "sh", "-c", f"{before} && exec {shlex.join(words)}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    errors = [
        line for line in done.stderr.splitlines() if line.startswith("anabranch:")
    ]
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, "\n".join(errors)


def test_what_keeps_a_survey_from_running_is_one_clear_line(tmp_path: Path) -> None:
    """Rights, nodes, routes, space, what has changed, and two at once."""
    world = World(20, 0)
    targets = ["240.0.0.0/20,udp,1,32,6"]
    manifests = write_manifests(tmp_path / "m", targets)
    data = tmp_path / "data"
    nowhere = write_manifests(tmp_path / "n", targets, agent={"nodeName": "rome"})
    code, _, error = run_command(world, nowhere, data)
    assert code == 1
    assert "Agent 'agent1' is on node 'rome', which is neither this machine" in error
    elsewhere = write_manifests(tmp_path / "i", targets, agent={"interface": "eth9"})
    code, _, error = run_command(world, elsewhere, tmp_path / "d1")
    assert (code, "no interface eth9" in error) == (1, True), error
    code, _, error = run_command(
        world, manifests, tmp_path / "d2", "ip route del 240.0.0.0/4"
    )
    assert (code, "there is no route to 240.0." in error) == (1, True), error
    full = f"mkdir {tmp_path}/d3 && mount -t tmpfs -o size=64k none {tmp_path}/d3"
    code, _, error = run_command(world, manifests, tmp_path / "d3", full)
    assert (code, "No space left" in error) == (1, True), error
    suspended = write_manifests(tmp_path / "s", targets, suspend=True)
    code, _, error = run_command(world, suspended, data)
    assert (code, "it is suspended; remove suspend" in error) == (1, True)


def test_a_run_goes_on_only_as_what_it_was(tmp_path: Path) -> None:
    """Another list or rule takes another runId; a stop or deadline does not."""
    world = World(20, 0)
    targets = ["240.0.0.0/20,udp,1,32,6"]
    data = tmp_path / "data"
    slow = {"maxProbingRate": 300}
    late = write_manifests(tmp_path / "m", targets, agent=slow, activeDeadlineSeconds=3)
    code, output, error = run_command(world, late, data)
    assert code == 1
    assert "took longer than it may" in error
    assert "stopped in round 1" in output
    other = write_manifests(tmp_path / "o", [*targets, "240.0.16.0/24,udp,1,32,6"])
    code, _, error = run_command(world, other, data)
    assert (code, "another target list; set a new runId" in error) == (1, True), error
    other = write_manifests(tmp_path / "o", targets, failureProbability=0.5)
    code, _, error = run_command(world, other, data)
    assert (code, "set a new runId" in error) == (1, True), error
    again = write_manifests(tmp_path / "o", targets, failureProbability=0.5, runId="2")
    code, output, error = run_command(world, again, data)
    assert (code, error) == (0, "")
    code, output, error = run_command(
        world, write_manifests(tmp_path / "m", targets), data
    )
    assert (code, error) == (0, "")
    assert "done in round" in output


def test_an_interrupted_survey_says_so_and_goes_on(tmp_path: Path) -> None:
    """The running part is closed; the exit code is a shell's for SIGINT."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    words = shlex.join(command(manifests, data))
    script = f"{words} & {ONCE_IT_PROBES}; kill -INT $!; wait $!; echo code $?"
    output = world.run("bash", "-c", f"set -m; {script}")
    assert "agent1: stopped in round 1: " in output
    assert "it was stopped; run it again to go on" in output
    assert output.endswith("code 130\n")
    assert list(data.rglob("replies/*/*.parquet"))
    survey(world, manifests, data)
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == rehearse(world, manifests, tmp_path)


def test_a_dry_run_says_what_would_be_sent(tmp_path: Path) -> None:
    """And sends nothing, and writes nothing."""
    manifests = write_manifests(tmp_path / "m", ["240.0.0.0/20,udp,1,32,6"])
    code, output, _ = run_command(
        World(20, 0), manifests, tmp_path / "data", "true", "--dry-run"
    )
    assert code == 0
    assert "agent1 would send 3,072 probes to 16 targets at 100,000/s" in output
    assert not (tmp_path / "data").exists()


def test_a_network_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    """A link that goes down is one clear line; run again, it goes on."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    down = f"{{ {ONCE_IT_PROBES}; ip link set eth0 down; }} &"
    code, _, error = run_command(world, manifests, data, f"{down} true")
    assert code == 1
    told = "can't send on eth0: Network is down (os error 100); see that it is up"
    assert error.splitlines()[0] == f"anabranch: agent1: {told}"
    code, _, error = run_command(world, manifests, data)
    assert (code, error) == (0, "")
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == rehearse(world, manifests, tmp_path)


def is_running(word: str) -> bool:
    """Whether there is a process with this word in its command."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if word.encode() in file.read_bytes():
                return True
    return False


def test_a_simulator_that_dies_takes_the_survey_along_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """Nothing of it goes on running; started again, it ends as if nothing had been."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    words = command(manifests, data)
    with subprocess.Popen([*world.command, *words], stderr=subprocess.DEVNULL) as died:
        deadline = time.monotonic() + 60
        while not list(data.glob("agents/agent1/*/1/001-00/outcome.json")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)
        died.kill()
    deadline = time.monotonic() + 10
    while is_running(str(data)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    survey(world, manifests, data)
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == rehearse(world, manifests, tmp_path)
