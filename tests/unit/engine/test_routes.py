"""Target lists of routed prefixes, as far as files of the field's formats matter.

Which prefixes become targets is tested in the engine.
"""

from __future__ import annotations

import bz2
import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest
from anabranch_engine import TargetList

from annotationfiles import make_rib

if TYPE_CHECKING:
    from collections.abc import Callable

RIB = make_rib(
    {
        "0.0.0.0/0": [(1, 2)],
        "1.0.0.0/8": [(1, 2), (3, 2)],
        "1.2.3.0/24": [(1, 4), (3, 4), (5, 4)],
        "2.0.0.0/22": [(1, 4)],
        "192.168.0.0/24": [(1, 4), (3, 4)],
        "2600::/32": [(1, 5), (3, 5)],
    }
)
PREFIX2AS = (
    b"# CAIDA\n1.0.0.0\t8\t2\n1.2.3.0\t24\t4\n2.0.0.0\t22\t4_5\n2600::\t32\t5,6\n"
)


def read(content: bytes, **choices: Any) -> list[str]:
    """The targets of a table, as the canonical list has them."""
    listed = read_list(content, **choices)
    written = io.BytesIO()
    listed.write_csv(written)
    return written.getvalue().decode().split()


def read_list(content: bytes, **choices: Any) -> TargetList:
    """The list of a table, with the defaults of manifests."""
    defaults: dict[str, Any] = {
        "lengths_v4": (8, 24),
        "lengths_v6": (16, 48),
        "samples_v6": 1,
        "min_peers": 1,
        "allow_reserved": False,
        "protocol": "udp",
        "min_ttl": 2,
        "max_ttl": 32,
        "n_initial_flows": 6,
    }
    return TargetList.read_routes(io.BytesIO(content), **defaults | choices)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("table", [RIB, PREFIX2AS])
def test_a_table_lists_what_it_routes(
    table: bytes, compress: Callable[[bytes], bytes]
) -> None:
    """Default routes and reserved space do not count, nor what another prefix holds."""
    assert read(compress(table)) == [
        "1.0.0.0/8,udp,2,32,6",
        "2.0.0.0/22,udp,2,32,6",
        "2600::/48,udp,2,32,6",
    ]


def test_equal_routes_give_equal_lists() -> None:
    """The digest is that of the targets, whatever the format."""
    one, other = read_list(RIB), read_list(PREFIX2AS)
    assert one.digest() == other.digest()
    assert (one.lines, other.lines) == (6, 4)
    assert len(one.split(24, 48)) == (1 << 16) + 4 + 1


def test_prefixes_count_by_peers_lengths_and_family() -> None:
    """A prefix that fewer peers see leaves those within it as they are."""
    assert read(RIB, min_peers=2, lengths_v6=None) == ["1.0.0.0/8,udp,2,32,6"]
    assert read(RIB, min_peers=3) == ["1.2.3.0/24,udp,2,32,6"]
    assert read(RIB, lengths_v4=(9, 22), lengths_v6=None) == ["2.0.0.0/22,udp,2,32,6"]
    icmp = read(
        RIB, lengths_v4=(24, 24), protocol="icmp", allow_reserved=True, min_ttl=1
    )
    assert icmp == [
        "1.2.3.0/24,icmp,1,32,6",
        "192.168.0.0/24,icmp,1,32,6",
        "2600::/48,icmp6,1,32,6",
    ]


def test_several_paths_of_one_peer_are_one_peer() -> None:
    """Peers may tell several paths to a prefix (RFC 8050)."""
    attributes = b"\x40\x01\x01\x00"
    entries = b"".join(
        bytes((0, peer)) + bytes(4) + bytes((0, 0, 0, path, 0, 4)) + attributes
        for peer, path in [(0, 1), (0, 2), (1, 1)]
    )
    body = bytes(4) + b"\x18\x01\x02\x03" + bytes((0, 3)) + entries
    record = bytes(4) + bytes((0, 13, 0, 8)) + len(body).to_bytes(4) + body
    rib = make_rib({}) + record
    assert read(rib, min_peers=2) == ["1.2.3.0/24,udp,2,32,6"]
    with pytest.raises(ValueError, match="none of its 1 routes counts: 1 seen by too"):
        read(rib, min_peers=3)


@pytest.mark.parametrize(
    ("table", "choices", "says"),
    [
        (RIB[:-1], {}, "the MRT record at byte .*cut short"),
        (gzip.compress(RIB)[:-9], {}, "the gzip data before byte"),
        (PREFIX2AS, {"min_peers": 2}, "line 2: prefix2as does not say how many peers"),
        (b"1.0.0.0/8 2\n", {}, "line 1: .*name CAIDA's prefix2as or an MRT RIB dump"),
        (b'{"data": []}', {}, "no format that is read; name CAIDA's prefix2as or an"),
        (b"\0\0\0\0\0\x10\0\4" + b"\0" * 8, {}, "without a whole RIB; name a RIB dump"),
        (make_rib({}), {}, "the RIB dump has no prefix; download it again"),
        (b"", {}, "is empty"),
        (b"10.0.0.0 8 1\n", {}, "none of its 1 routes counts: 1 in reserved space"),
        (b"2600:: 16 1\n", {"samples_v6": 1 << 26}, "67108864 /48s of 1 IPv6"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(
    table: bytes, choices: dict[str, Any], says: str
) -> None:
    """With the place in it, and the remedy."""
    with pytest.raises(ValueError, match=says):
        read(table, **choices)


def test_a_file_that_fails_says_why() -> None:
    """A failing disk is no bad table."""

    class Failing(io.RawIOBase):
        def read(self, _: int = -1, /) -> bytes:
            raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        TargetList.read_routes(
            Failing(),
            lengths_v4=(8, 24),
            lengths_v6=None,
            samples_v6=1,
            min_peers=1,
            allow_reserved=False,
            protocol="icmp",
            min_ttl=1,
            max_ttl=32,
            n_initial_flows=1,
        )
