"""diamond-miner's own queries, by its client, on the views of a run."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from diamond_miner import queries
from pych_client import ClickHouseClient

from anabranch.rounds.steps import FIRST, Step
from clickhouseserver import PASSWORD, USER
from diamondminer import name_prefix
from jobruns import AGENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouseserver import Server
    from jobruns import JobRun

AGENT = AGENTS[0]
LAST = Step(2)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def client(clickhouse: Server) -> Iterator[ClickHouseClient]:
    """What diamond-miner's users have."""
    with ClickHouseClient(
        clickhouse.url, database="anabranch", username=USER, password=PASSWORD
    ) as client:
        yield client


@pytest.fixture
def ask(client: ClickHouseClient, surveyed: JobRun) -> Any:
    """Runs a query on the first agent's run."""
    name = f"{surveyed.uid}__{surveyed.run_id}__{AGENT}".replace(".", "__")

    def ask(query: queries.Query) -> Rows:
        return query.execute(client, name)

    return ask


def read(run: JobRun, key: str) -> Rows:
    """The rows of an object."""
    rows: Rows = pq.read_table(io.BytesIO(run.store.get(key))).to_pylist()
    return rows


def read_steps(run: JobRun, kind: str) -> Rows:
    """What all steps of the agent have of a kind."""
    root = run.agent_keys(AGENT).root
    keys = (key for key in run.store.list(root) if f"/{kind}/" in key)
    return [row for key in keys for row in read(run, key)]


def read_targets(run: JobRun) -> dict[int, tuple[int, str]]:
    """Protocol and prefix of each target, by its number."""
    return {
        row["prefix_index"]: (row["protocol"], name_prefix(row["prefix"]))
        for row in read(run, run.agent_keys(AGENT).targets)
    }


def read_results(run: JobRun, table: str) -> Rows:
    """What is in a table of the results about the agent."""
    rows = read(run, run.keys.table(table))
    return [row for row in rows if row["agent"] == AGENT]


def name(address: str) -> str:
    """An address as diamond-miner has it."""
    return f"::ffff:{address}" if "." in address else address


def test_links_and_nodes_are_ours(surveyed: JobRun, ask: Any) -> None:
    """Each once; what it takes for private is told to be left in."""
    links = {(row["near_addr"], row["far_addr"]) for row in ask(queries.GetLinks())}
    assert links == {
        (name(row["near_addr"]), name(row["far_addr"]))
        for row in read_results(surveyed, "links")
    }
    nodes = ask(queries.GetNodes(filter_private=False))
    assert {row["reply_src_addr"] for row in nodes} == {
        name(row["addr"]) for row in read_results(surveyed, "interfaces")
    }
    counted = ask(queries.Count(query=queries.GetNodes(filter_private=False)))
    assert counted == [{"count()": len(nodes)}]
    public = {row["reply_src_addr"] for row in ask(queries.GetNodes())}
    # IPv6 for documentation is none of its private ranges.
    assert {address[:4] for address in public} == {"3fff"}


def test_its_links_of_our_replies_are_ours(surveyed: JobRun, ask: Any) -> None:
    """With their rounds and TTLs, and as many flows; without amplification."""
    targets = read_targets(surveyed)
    amplified = {
        row["prefix_index"]
        for row in read_steps(surveyed, "prefixes")
        if row["has_amplification"]
    }
    ours: Counter[tuple[Any, ...]] = Counter()
    for row in read_steps(surveyed, "links"):
        if row["prefix_index"] not in amplified:
            link = (
                *targets[row["prefix_index"]],
                *(row["near_ttl"], row["near_round"], row["far_round"]),
                *(name_prefix(row["near_addr"]), name_prefix(row["far_addr"])),
            )
            ours[link] += row["flows"]
    theirs = Counter(
        (
            *(row["probe_protocol"], row["probe_dst_prefix"]),
            *(row["near_ttl"], row["near_round"], row["far_round"]),
            *(row["near_addr"], row["far_addr"]),
        )
        for row in ask(queries.GetLinksFromResults(filter_private=False))
        if "::" not in {row["near_addr"], row["far_addr"]}
    )
    assert theirs == ours != Counter()


def test_invalid_prefixes_are_ours(surveyed: JobRun, ask: Any) -> None:
    """Those with amplification and those with loops, by table and by replies."""
    targets = read_targets(surveyed)
    ours = read_steps(surveyed, "prefixes")
    amplified = {
        targets[row["prefix_index"]] for row in ours if row["has_amplification"]
    }
    looping = {targets[row["prefix_index"]] for row in ours if row["has_loops"]}
    assert amplified
    assert looping - amplified

    def read_flagged(query: queries.Query) -> set[tuple[int, str]]:
        return {(row["probe_protocol"], row["probe_dst_prefix"]) for row in ask(query)}

    found = queries.GetPrefixesWithAmplification(filter_private=False)
    assert read_flagged(found) == amplified
    # A loop between two rounds is one of all replies only.
    for round_ in (1, 2):
        loops = queries.GetPrefixesWithLoops(filter_private=False, round_eq=round_)
        assert read_flagged(loops) <= looping
    invalid = {row["probe_dst_prefix"] for row in ask(queries.GetInvalidPrefixes())}
    assert invalid == {prefix for _, prefix in amplified | looping}
    prefixes = {row["probe_dst_prefix"] for row in ask(queries.GetPrefixes())}
    assert prefixes == {targets[row["prefix_index"]][1] for row in ours}


def test_what_was_sent_is_what_its_rule_asks_for(surveyed: JobRun, ask: Any) -> None:
    """By prefix and TTL: the flows of the first round, and those of the second."""
    plan = read(surveyed, surveyed.agent_keys(AGENT).step(LAST).plan)
    ours = {
        (row["protocol"], name_prefix(row["prefix"]), ttl): (
            row["first_flow"] + row["flow_count"],
            row["first_flow"],
        )
        for row in plan
        for ttl in range(row["min_ttl"], row["max_ttl"] + 1)
    }
    sent = {
        (row["probe_protocol"], row["probe_dst_prefix"], ttl): (total, before)
        for row in ask(queries.GetProbesDiff(round_eq=LAST.round))
        for ttl, total, before in row["probes_per_ttl"]
    }
    assert {place for place, (total, before) in sent.items() if total > before} == {
        *ours
    }
    assert {place: sent[place] for place in ours} == ours
    first = {
        (row["probe_protocol"], row["probe_dst_prefix"], ttl): total
        for row in ask(queries.GetProbes(round_eq=FIRST.round))
        for ttl, total in row["probes_per_ttl"]
    }
    assert set(first.values()) == {6}
    assert {place: first[place] for place in ours} == {
        place: before for place, (_, before) in ours.items()
    }
    rule = queries.GetMDAProbes(
        round_leq=1, filter_partial=True, filter_virtual=True, filter_inter_round=True
    )
    asked = {
        (row["probe_protocol"], row["probe_dst_prefix"], ttl): total
        for row in ask(rule)
        for ttl, total in zip(row["TTLs"], row["cumulative_probes"], strict=True)
    }
    for place, (total, _) in ours.items():
        # Amplification was seen after this was asked.
        assert asked.get(place, total) == total
    assert len(asked.keys() & ours.keys()) > 100


def test_other_queries_count_what_there_is(surveyed: JobRun, ask: Any) -> None:
    """Replies, links and probes, and the prefixes that a window is for."""
    targets = read_targets(surveyed)
    replies = surveyed.read_replies(AGENT)
    every: dict[str, Any] = {
        "filter_destination_host": False,
        "filter_destination_prefix": False,
        "filter_private": False,
        "time_exceeded_only": False,
    }
    rows = ask(queries.GetResults(**every))
    assert len(rows) == len(replies)
    labels = Counter(str(row["reply_mpls_labels"]) for row in rows)
    assert labels.keys() == {"[]", "[[16, 0, 1, 1]]"}
    counts = ask(queries.CountResultsPerPrefix(**every))
    assert sum(row["count"] for row in counts) == len(replies)
    links = ask(queries.CountLinksPerPrefix())
    assert {row["prefix"] for row in links} == {"::ffff:240.0.0.0", "3f00::"}
    probes = ask(queries.CountProbesPerPrefix(round_eq=1))
    assert sum(row["count"] for row in probes) > 0
    sliding = queries.GetSlidingPrefixes(
        filter_private=False, round_eq=1, window_max_ttl=20, stopping_condition=3
    )
    assert {row["probe_dst_prefix"] for row in ask(sliding)} == {
        targets[row["prefix_index"]][1]
        for row in replies
        if row["round"] == 1
        and row["probe_ttl"] >= 17
        and (row["reply_protocol"], row["reply_icmp_type"]) in {(1, 11), (58, 3)}
        and not row["destination_prefix_reply"]
    }
