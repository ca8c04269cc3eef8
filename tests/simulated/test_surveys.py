"""Whole surveys on real packets: what they find, and what they refuse."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from anabranch_engine import Plan

from anabranch.local.score import tell
from anabranch.rounds.steps import FIRST, Step
from anabranch.rounds.workers import Worker
from anabranch.runs.chain import read_outcomes
from anabranch.store.directory import DirectoryStore
from anabranch.store.s3 import S3Store
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from anabranch.warehouse.pieces import PIECE_ROWS
from diamondminer import DiamondMiner, name_prefix
from onesurvey import (
    TARGETS,
    judge,
    open_run,
    read_links,
    run_command,
    write_table,
)
from surveying import survey, write_manifests
from world import ANSWERING, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch.rounds.outcome import Outcome, Rules
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from devcluster.s3 import S3

LOSSY = World(96, 48, switches={"loss": 0.05, "amplification": 0.05})


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


@pytest.mark.parametrize("rule", ["lite", "full", "shared"])
def test_a_survey_finds_exactly_what_its_rule_finds_in_process(
    rule: str, tmp_path: Path
) -> None:
    """From two vantage points, of which one is behind translation; and no more.

    It expects to have missed as many links as it does in process.
    """
    world = World(96, 48, vantage_points=2)
    manifests = write_manifests(
        tmp_path / "manifests",
        TARGETS,
        points=2,
        tool={"diamondMiner": {"rule": rule}},
        failureProbability=0.3,
    )
    survey(world, manifests, tmp_path / "data")
    found = {
        (tell(near), tell(far))
        for near, far in read_links(tmp_path / "data", tmp_path / "links.csv")
    }
    its = judge(world, manifests)
    expected = set()
    store = DirectoryStore(tmp_path / "data")
    for assignment in its.assignments:
        rehearsal = its.rehearse_one(assignment, tmp_path)
        expected |= rehearsal.links
        *_, last = read_outcomes(store, assignment.record.keys).values()
        assert (last.missing_links is None) == (rule != "shared")
        assert last.missing_links == pytest.approx(rehearsal.missing_links)
    assert found == expected
    score = its.judge(found)
    assert score.precision == 1
    assert score.recall > 0.95
    assert (score.recall < 1) or rule == "shared"


@pytest.fixture(scope="module")
def survey_by(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Who surveys by a rule, once for all tests, and tells in which folder."""

    @cache
    def survey_once(rule: str) -> Path:
        folder, tool = tmp_path_factory.mktemp(rule), {"diamondMiner": {"rule": rule}}
        survey(LOSSY, write_manifests(folder, TARGETS, tool=tool), folder / "data")
        return folder

    return survey_once


@pytest.fixture(params=["pieces", "pieces-shared", "s3"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, int, str]:
    """An empty store, how many rows a job looks at together, and a rule."""
    where, _, rule = request.param.partition("-")
    if where == "pieces":
        return DirectoryStore(tmp_path / "elsewhere"), 4_000, rule or "lite"
    server: S3 = request.getfixturevalue("s3")
    return S3Store(server.bucket, endpoint_url=server.url), PIECE_ROWS, "lite"


def test_round_jobs_do_the_same_in_pieces_and_over_s3(
    elsewhere: tuple[Store, int, str],
    survey_by: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The same links and plans, where memory is short and where parts are far away."""
    there, piece_rows, rule = elsewhere
    again = Again.make(survey_by(rule), there, tmp_path)
    again.compare(again.open("alone", piece_rows).conclude)
    assert not [key for key in there.list(again.keys.root) if "/counts/" in key]


def test_workers_that_share_round_jobs_do_the_same(
    s3: S3, survey_by: Callable[[str], Path], tmp_path: Path
) -> None:
    """Also where one has done all of the others' work, and where one does nothing."""
    there = S3Store(s3.bucket, endpoint_url=s3.url)
    again = Again.make(survey_by("shared"), there, tmp_path)
    jobs = [again.open(f"worker{index}", 16_000) for index in range(4)]

    def conclude(step: Step) -> Outcome:
        if step == FIRST:
            jobs[3].help(step, Worker(3, 4))
            assert list(there.list(f"{again.keys.step(step).root}/links"))
        with ThreadPoolExecutor(2) as threads:
            others = [
                threads.submit(jobs[index].help, step, Worker(index, 4))
                for index in (1, 2)
            ]
            outcome = jobs[0].conclude(step)
        for other in others:
            other.result()
        return outcome

    again.compare(conclude)


@dataclass(frozen=True)
class Again:
    """A survey whose steps are concluded once more, in another store."""

    here: DirectoryStore
    there: Store
    keys: RunKeys
    rules: Rules
    scratch: Path

    @classmethod
    def make(cls, surveyed: Path, there: Store, scratch: Path) -> Again:
        """Brings the parts of a survey to the other store."""
        here = DirectoryStore(surveyed / "data")
        keys = open_run(here.root)
        for key in here.list(keys.root):
            if "/replies/" in key or key == keys.targets:
                there.put(key, here.get(key))
        (assignment,) = judge(LOSSY, surveyed / "survey.yaml").assignments
        return cls(here, there, keys, assignment.record.run_rules, scratch)

    def open(self, name: str, piece_rows: int) -> RoundJob:
        """A job in a process of its own, with that many rows in a piece."""
        scratch = self.scratch / name
        scratch.mkdir()
        engine = open_embedded()
        return RoundJob(self.there, engine, self.keys, self.rules, scratch, piece_rows)

    def compare(self, conclude: Callable[[Step], Outcome]) -> None:
        """Concludes step after step, and compares plans and links."""
        self.open("begin", PIECE_ROWS).begin()
        step: Step | None = FIRST
        while step:
            key = self.keys.step(step).plan
            plan = pq.read_table(self.there.fetch(key, self.scratch))
            expected = pq.read_table(self.here.path(key))
            assert plan.to_pylist() == expected.to_pylist(), step
            step = conclude(step).next_step
        links, engine = f"{self.keys.root}/*/links/*.parquet", open_embedded()
        rows = [
            engine.read(f"SELECT * FROM {store.read_sql(links)} ORDER BY ALL")
            for store in (self.here, self.there)
        ]
        assert rows[0] == rows[1]


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
    world = World(32, 1, switches=ANSWERING)
    manifests = write_manifests(tmp_path / "manifests", targets, tool={tool: {}})
    survey(world, manifests, tmp_path / "data")
    (plan,) = (tmp_path / "data").glob("agents/agent1/*/1/*/plan.parquet")
    assert Plan(plan).units == sent
    write_table(tmp_path / "data", "replies", "jsonl", tmp_path / "replies.jsonl")
    lines = (tmp_path / "replies.jsonl").read_text().splitlines()
    replies = [json.loads(line) for line in lines]
    assert len(replies) == sent
    if tool == "ping":
        assert {reply["reply_icmp_type"] for reply in replies} == {0, 129}
        assert {reply["probe_ttl"] for reply in replies} == {32}


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


def test_a_dry_run_says_what_would_be_sent(tmp_path: Path) -> None:
    """And sends nothing, and writes nothing."""
    manifests = write_manifests(tmp_path / "m", ["240.0.0.0/20,udp,1,32,6"])
    code, output, _ = run_command(
        World(20, 0), manifests, tmp_path / "data", "true", "--dry-run"
    )
    assert code == 0
    assert "agent1 would send 3,072 probes to 16 targets at 100,000/s" in output
    assert not (tmp_path / "data").exists()
