"""Target lists: what the rules promise, found by hypothesis and by example."""

from __future__ import annotations

import hashlib
import io
from ipaddress import (
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import zstandard
from anabranch_engine import (
    MAX_TARGETS,
    PrefixSet,
    TargetList,
    TargetListError,
    Targets,
)
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    import random

Network = IPv4Network | IPv6Network
# A /26 and a /122: small enough to look at every address.
BASES = {4: ip_network("240.0.0.0/26"), 6: ip_network("3fff::/122")}


@st.composite
def networks(draw: st.DrawFn, family: int) -> Network:
    """A network in the family's small space."""
    base = BASES[family]
    length = draw(st.integers(base.prefixlen, base.max_prefixlen))
    offset = draw(st.integers(0, base.num_addresses - 1))
    return ip_network((int(base.network_address) + offset, length), strict=False)


def families() -> st.SearchStrategy[int]:
    return st.sampled_from([4, 6])


@st.composite
def surveys(draw: st.DrawFn) -> tuple[int, list[Network], list[Network], int]:
    """A family, listed networks, excluded networks, and the hosts of a target."""
    family = draw(families())
    listed = draw(st.lists(networks(family), min_size=1, max_size=8))
    excluded = draw(st.lists(networks(family), max_size=8))
    return family, listed, excluded, draw(st.integers(0, 4))


def read(*lines: str) -> TargetList:
    return TargetList.read(io.BytesIO("\n".join(lines).encode()))


def read_networks(listed: list[Network]) -> TargetList:
    return read(*(f"{network},udp,2,32,6" for network in listed))


def rows(targets: Targets) -> list[dict[str, Any]]:
    return pa.table(targets).to_pylist()


def prefixes(targets: Targets) -> list[Network]:
    """The targets as networks of their own family."""
    found: list[Network] = []
    for row in rows(targets):
        address = IPv6Address(row["prefix"])
        found.append(ip_network((address.ipv4_mapped or address, row["prefix_len"])))
    return found


def addresses(some: list[Network]) -> set[int]:
    return {int(address) for network in some for address in network}


def split(survey: tuple[int, list[Network], list[Network], int]) -> Targets:
    family, listed, excluded, hosts = survey
    lengths = (32 - hosts, 64) if family == 4 else (24, 128 - hosts)
    forbidden = PrefixSet(map(str, excluded))
    return read_networks(listed).split(*lengths, forbidden=[forbidden])


@given(surveys())
def test_splitting_covers_what_is_listed_and_nothing_else(
    survey: tuple[int, list[Network], list[Network], int],
) -> None:
    """Without exclusions, the targets are disjoint and hold all listed addresses."""
    family, listed, _, hosts = survey
    found = prefixes(split((family, listed, [], hosts)))
    assert sum(network.num_addresses for network in found) == len(addresses(found))
    # A longer entry is widened only into a shorter one that is listed too.
    assert addresses(found) == addresses(listed)


@given(surveys())
def test_exclusions_win(survey: tuple[int, list[Network], list[Network], int]) -> None:
    """Every target has an address to probe; what is left out is all excluded."""
    family, listed, excluded, hosts = survey
    closed = addresses(excluded)
    targets = split(survey)
    found = prefixes(targets)
    everything = prefixes(split((family, listed, [], hosts)))
    assert all(addresses([target]) - closed for target in found)
    assert found == [target for target in everything if addresses([target]) - closed]
    assert targets.excluded == [len(everything) - len(found)]
    assert targets.partly_excluded == sum(
        bool(addresses([target]) & closed) for target in found
    )


@given(surveys(), st.randoms(use_true_random=False))
def test_a_digest_depends_on_the_content_only(
    survey: tuple[int, list[Network], list[Network], int], chance: random.Random
) -> None:
    """Order, repetition, comments and compression leave no trace."""
    listed = survey[1]
    lines = [f"{network},udp,2,32,6" for network in listed] * 2
    chance.shuffle(lines)
    text = "# shuffled\r\n" + "\r\n".join(lines)
    again = TargetList.read(io.BytesIO(zstandard.compress(text.encode())))
    assert again.digest() == read_networks(listed).digest()


@given(surveys())
def test_merging_loses_nothing(
    survey: tuple[int, list[Network], list[Network], int],
) -> None:
    """A target is probed at least as every entry that it overlaps asks for."""
    family, listed, _, hosts = survey
    lines = [
        f"{network},udp,{1 + i},{9 + i},{1 + i % 3}" for i, network in enumerate(listed)
    ]
    lengths = (32 - hosts, 64) if family == 4 else (24, 128 - hosts)
    targets = read(*lines).split(*lengths)
    for row, prefix in zip(rows(targets), prefixes(targets), strict=True):
        asked = [i for i, network in enumerate(listed) if network.overlaps(prefix)]
        assert row["min_ttl"] == 1 + min(asked)
        assert row["max_ttl"] == 9 + max(asked)
        assert row["n_initial_flows"] == max(1 + i % 3 for i in asked)


def test_the_whole_of_ipv4_is_one_line() -> None:
    """One line stands for 2^24 targets, each exactly once and in order."""
    targets = read("0.0.0.0/0,udp,2,32,1").split(24, 64)
    assert len(targets) == 1 << 24
    reader = pa.RecordBatchReader.from_stream(targets)
    seen = 0
    for batch in reader:
        first = bytes(batch.column("prefix")[0].as_py())
        assert first == bytes(10) + b"\xff\xff" + (seen << 8).to_bytes(4, "big")
        seen += batch.num_rows
    assert seen == 1 << 24


def test_a_target_names_protocol_ttls_and_flows() -> None:
    """The columns are those of a plan: 16-byte addresses and IP protocol numbers."""
    listed = read("240.0.0.0/24,icmp,1,2,3", "3fff::/64,icmp6,4,5,6")
    (v4, v6) = rows(listed.split(24, 64))
    assert v4 == {
        "prefix": ip_address("::ffff:240.0.0.0").packed,
        "prefix_len": 24,
        "protocol": 1,
        "min_ttl": 1,
        "max_ttl": 2,
        "n_initial_flows": 3,
    }
    assert (v6["prefix"], v6["prefix_len"]) == (ip_address("3fff::").packed, 64)
    assert v6["protocol"] == 58


def test_the_digest_is_that_of_the_canonical_text() -> None:
    """Anyone can check it with sha256sum."""
    listed = read(
        "3fff::/64,udp,2,32,6", "240.0.0.1,udp,2,32,6", "240.0.0.0/8,udp,2,32,6"
    )
    text = io.BytesIO()
    listed.write_csv(text)
    assert text.getvalue() == (
        b"240.0.0.0/8,udp,2,32,6\n240.0.0.1,udp,2,32,6\n3fff::/64,udp,2,32,6\n"
    )
    assert listed.digest() == f"sha256:{hashlib.sha256(text.getvalue()).hexdigest()}"


@pytest.mark.parametrize(
    "content",
    [
        b"240.0.0.0/24,udp,2,32,6\n3fff::1,icmp6,2,32,6\n",
        b"240.0.0.0/24,udp,2,32,6\n3fff::1,icmp6,2,32,6",
        b"240.0.0.0/24,udp,2,32,6\r\n3fff::1,icmp6,2,32,6\r\n",
        b"\xef\xbb\xbftarget,protocol,min_ttl,max_ttl,n_initial_flows\r\n"
        b"240.0.0.0/24, udp, 2, 32, 6 \r\n\r\n# a comment\r\n3fff::1,icmp6,2,32,6",
    ],
    ids=["plain", "no last line feed", "of Windows", "of a spreadsheet"],
)
def test_lists_of_iris_are_read_as_their_users_have_them(content: bytes) -> None:
    """As a program writes them, an editor or a spreadsheet."""
    found = TargetList.read(io.BytesIO(content))
    plain = TargetList.read(
        io.BytesIO(b"240.0.0.0/24,udp,2,32,6\n3fff::1,icmp6,2,32,6\n")
    )
    assert found.digest() == plain.digest()


def test_each_bad_line_is_told_and_nothing_is_used() -> None:
    """The first hundred by number and reason, the others by their count."""
    good, bad = ["240.0.0.0/8,udp,2,32,6"], ["240.0.0.0/8,udp,2,32"]
    with pytest.raises(TargetListError) as caught:
        read(*good, *bad * 250)
    assert caught.value.total == 250
    assert len(caught.value.problems) == 100
    line, reason = caught.value.problems[0]
    assert (line, reason[-16:]) == (2, "found 4 field(s)")
    assert str(caught.value).endswith("and 150 more")


def test_more_targets_than_a_plan_may_have_are_refused() -> None:
    """The message tells how many there were, and what to do."""
    with pytest.raises(
        ValueError, match="18446744073709551616 targets, above the limit"
    ):
        read("::/0,udp,2,32,6").split(24, 64)
    assert MAX_TARGETS == 1 << 25


def test_a_lower_limit_holds() -> None:
    """A policy can let a tenant have fewer."""
    listed = read("240.0.0.0/22,udp,2,32,6")
    assert len(listed.split(24, 64, limit=4)) == 4
    with pytest.raises(ValueError, match="4 targets, above the limit of 3"):
        listed.split(24, 64, limit=3)


def test_prefix_lengths_must_exist() -> None:
    """A length that the family does not have is refused."""
    with pytest.raises(ValueError, match="at most 32"):
        read("240.0.0.0/8,udp,2,32,6").split(33, 64)


def test_the_sources_own_error_comes_through() -> None:
    """A failing disk is not a bad list."""

    class Failing:
        def read(self, size: int, /) -> bytes:
            raise OSError(5, f"no {size} bytes here")

    with pytest.raises(OSError, match="bytes here"):
        TargetList.read(Failing())


def test_the_sinks_own_error_comes_through() -> None:
    """A full disk is told."""

    class Full:
        def write(self, data: bytes, /) -> int:
            raise OSError(28, f"no space left for {len(data)} bytes")

    with pytest.raises(OSError, match="no space left"):
        read("240.0.0.0/8,udp,2,32,6").write_csv(Full())


@given(families().flatmap(lambda f: st.tuples(*[st.lists(networks(f))] * 2)))
def test_sets_of_prefixes_are_sets_of_addresses(
    sides: tuple[list[Network], list[Network]],
) -> None:
    """Union and complement mean what they mean for sets."""
    one, two = (PrefixSet(map(str, side)) for side in sides)
    assert one | two == PrefixSet(map(str, [*sides[0], *sides[1]]))
    assert ~~one == one
    assert one | ~one == ~PrefixSet()
    for network in [*sides[0], *sides[1]]:
        assert (str(network) in one) == (addresses([network]) <= addresses(sides[0]))


def test_reserved_space_is_what_no_probe_may_reach_by_default() -> None:
    """Public unicast is not reserved; private, multicast and documentation space is."""
    reserved = PrefixSet.reserved()
    assert all(
        p in reserved for p in ("10.0.0.0/8", "240.0.0.0/4", "3fff::/20", "ff02::1")
    )
    assert not any(p in reserved for p in ("8.8.8.8", "2001:4860::/32", "0.0.0.0/0"))


def test_a_set_tells_what_is_not_a_prefix() -> None:
    """The error names the remedy."""
    with pytest.raises(ValueError, match="host bits set; write"):
        PrefixSet(["8.8.8.1/24"])
    with pytest.raises(TypeError):
        PrefixSet(["240.0.0.0/8", 7])  # type: ignore[list-item]
