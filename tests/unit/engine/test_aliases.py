"""Alias resolution on simulated Internets whose routers are known, without packets."""

from __future__ import annotations

import logging
from collections import Counter
from ipaddress import ip_address

import pyarrow as pa
import pytest
from anabranch_engine import AliasTrial, Simulation, find_routers

PREFIXES = 1 << 16
DESTINATIONS = range(0, PREFIXES, 8)
HOSTILE = {name: hostile for name, _, _, hostile in Simulation.switches()}
HABITS = "interface-ids constant-ids random-ids copied-ids echo-counters whole-replies"
ONE_COUNTER = dict.fromkeys(HABITS.split(), 0.0)


def resolve(
    switches: dict[str, float], rounds: int, family: str = "ipv4"
) -> tuple[Counter[str], float]:
    """Pairs by verdict and truth, and the probes as a share of those of the traces."""
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
    counts = trial.run(list(DESTINATIONS))
    pairs = Counter[str]()
    for (_, verdict, _, are_aliases), number in counts.pairs.items():
        pairs[f"{verdict} {'aliases' if are_aliases else 'others'}"] += number
    return pairs, counts.alias_probes / counts.trace_probes


def tell(name: str, rounds: int, pairs: Counter[str], share: float) -> None:
    """The line of docs/tracing.md."""
    accepted = pairs["accept aliases"] + pairs["accept others"]
    aliases = sum(count for key, count in pairs.items() if key.endswith("aliases"))
    logging.getLogger(__name__).info(
        "%s, %d rounds: %d of %d accepted pairs are aliases, of %d; %d aliases are "
        "rejected; %.3f of the traces' probes",
        *(name, rounds, pairs["accept aliases"], accepted, aliases),
        *(pairs["reject aliases"], share),
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
        pairs, share = resolve(switches, rounds, family)
        tell(f"{family}, {name}", rounds, pairs, share)
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
