"""Alias resolution on simulated Internets whose routers are known, without packets."""

from __future__ import annotations

import logging
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from anabranch_engine import AliasTrial, Simulation, find_routers

if TYPE_CHECKING:
    from anabranch_engine import AliasCounts

PREFIXES = 1 << 16
DESTINATIONS = range(0, PREFIXES, 8)
HOSTILE = {name: hostile for name, _, _, hostile in Simulation.switches()}
HABITS = "interface-ids constant-ids random-ids copied-ids echo-counters whole-replies"
ONE_COUNTER = dict.fromkeys(HABITS.split(), 0.0)


def resolve(
    switches: dict[str, float], rounds: int, family: str = "ipv4"
) -> AliasCounts:
    """What comes of all destinations."""
    trial = AliasTrial(
        prefixes=PREFIXES,
        switches=switches,
        seed=11,
        algorithm="mdaLite",
        failure_probability=0.05,
        phi=2,
        rounds=rounds,
        family=family,
    )
    return trial.run(list(DESTINATIONS))


def count(counts: AliasCounts, most_round: int = 255) -> Counter[str]:
    """Pairs by verdict and truth, of which that was found in these rounds."""
    pairs = Counter[str]()
    for (found, verdict, _, are_aliases), number in counts.pairs.items():
        if found <= most_round:
            pairs[f"{verdict} {'aliases' if are_aliases else 'others'}"] += number
    return pairs


def tell(name: str, rounds: int, counts: AliasCounts) -> None:
    """The lines of docs/tracing.md."""
    pairs = count(counts)
    share = counts.alias_probes / counts.trace_probes
    accepted = pairs["accept aliases"] + pairs["accept others"]
    aliases = sum(number for key, number in pairs.items() if key.endswith("aliases"))
    logger = logging.getLogger(__name__)
    logger.info(
        "%s, %d rounds: %d of %d accepted pairs are aliases, of %d; %d aliases are "
        "rejected; %.3f of the traces' probes",
        *(name, rounds, pairs["accept aliases"], accepted, aliases),
        *(pairs["reject aliases"], share),
    )
    for until in range(rounds):
        so_far = count(counts, until)
        right, wrong = so_far["accept aliases"], so_far["accept others"]
        logger.info(
            "until round %d: %d of %d, %.3f of all, %.3f of those after the last round",
            *(until, right, right + wrong),
            *(right / aliases, right / pairs["accept aliases"]),
        )


@pytest.mark.statistics
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("name", ["one counter", "default", "hostile"])
def test_hardly_any_pair_that_is_accepted_is_wrong(name: str, family: str) -> None:
    """One in a thousand at most, after any number of rounds, which find more."""
    usual = ONE_COUNTER if name == "one counter" else {}
    switches = HOSTILE if name == "hostile" else usual
    found = []
    for rounds in (0, 1, 2, 10):
        counts = resolve(switches, rounds, family)
        tell(f"{family}, {name}", rounds, counts)
        pairs = count(counts)
        assert pairs["accept others"] <= pairs["accept aliases"] / 1_000
        found.append(pairs["accept aliases"])
    assert found[0] < found[1]
    assert found[-1] >= 0.99 * found[1]


def test_an_unknown_family_is_refused() -> None:
    """The error names those that there are."""
    with pytest.raises(ValueError, match="use ipv4 or ipv6"):
        resolve({}, 1, "ipv5")


def test_routers_of_pairs_have_their_lowest_address_as_their_name() -> None:
    """Conflicts are told, and pairs that are not decided make no router."""

    def address(number: int) -> bytes:
        return ip_address((0x3FFF << 112) + number).packed

    pairs = [
        (3, 2, "accept"),
        (1, 3, "accept"),
        (7, 8, "accept"),
        (8, 7, "reject"),
        (9, 10, "undetermined"),
    ]
    first, second, verdicts = zip(*pairs, strict=True)
    table = pa.table(
        {
            "first_addr": pa.array([address(one) for one in first], pa.binary(16)),
            "second_addr": pa.array([address(one) for one in second], pa.binary(16)),
            "verdict": verdicts,
        }
    )
    rows = pa.table(find_routers(table)).to_pylist()
    found = [(row["router_addr"], row["addr"], row["is_in_conflict"]) for row in rows]
    router = [(address(1), address(one), False) for one in (1, 2, 3)]
    assert found == [*router, *((address(7), address(one), True) for one in (7, 8))]
    with pytest.raises(ValueError, match="no verdict"):
        find_routers(table.set_column(2, "verdict", pa.array(["maybe"] * len(pairs))))
    with pytest.raises(ValueError, match="first_addr"):
        find_routers(table.drop_columns("first_addr"))
