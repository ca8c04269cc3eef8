"""What files say about addresses: formats, the longest match, and bad files."""

from __future__ import annotations

import bz2
import gzip
import json
import random
import re
import tempfile
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maxminddb
import pyarrow as pa
import pytest
from anabranch_engine import Annotations
from hypothesis import given
from hypothesis import strategies as st

from annotationfiles import (
    EXCHANGES,
    LANS,
    MAXMIND_ASN,
    MAXMIND_NAME,
    PREFIXES,
    make_answer,
    make_rib,
    write_mmdb,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annotationfiles import AsPath

NOTHING = (None, None, None, None, None)


def find(annotations: Annotations, address: str) -> tuple[Any, ...]:
    """What is known about an address: asn, origins, as_name, country, ixp."""
    found = annotations.find(ip_address(address))
    return (found.asn, found.origins, found.as_name, found.country, found.ixp)


def write(folder: Path, content: bytes | str, name: str = "file") -> Path:
    """A file of this content; returns its path."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("record", "known"),
    [
        ({MAXMIND_ASN: 64500, MAXMIND_NAME: "A"}, (64500, None, "A", None, None)),
        (
            {
                "country": {"iso_code": "DE", "names": {"en": "Germany"}},
                "registered_country": {"iso_code": "FR"},
                "city": {"names": {"en": "Bonn"}},
            },
            (None, None, None, "DE", None),
        ),
        ({"registered_country": {"iso_code": "FR"}}, NOTHING),
        (
            {"asn": "AS64500", "as_name": "A", "country": "US", "as_domain": "a.net"},
            (64500, None, "A", "US", None),
        ),
        (
            {"asn": "AS64500", "name": "A", "route": "192.0.2.0/24", "type": "isp"},
            (64500, None, "A", None, None),
        ),
        ({"country": "Germany", "country_code": "DE"}, (None, None, None, "DE", None)),
        ({"country": "Germany"}, NOTHING),
        ({"asn": "", "as_name": "", "country_code": ""}, NOTHING),
        ({MAXMIND_NAME: "a name without an AS"}, NOTHING),
        ({"name": {"en": "no AS"}}, NOTHING),
    ],
)
def test_records_of_databases_are_read_by_the_names_of_their_fields(
    record: dict[str, Any], known: tuple[Any, ...], tmp_path: Path
) -> None:
    """MaxMind's, DB-IP's, IPinfo's; a country is where an address is."""
    records = {"192.0.2.0/24": record, "2001:db8::/32": record}
    # So that there is something to be known.
    records["198.18.0.0/15"] = {MAXMIND_ASN: 1}
    annotations = Annotations([write_mmdb(tmp_path / "db", records)])
    for address in ("192.0.2.0", "192.0.2.255", "2001:db8::1"):
        assert find(annotations, address) == known
    for address in ("192.0.3.0", "2001:db9::", "::192.0.2.1"):
        assert find(annotations, address) == NOTHING
    assert find(annotations, "198.19.255.255")[0] == 1


def test_a_real_database_is_read_as_its_makers_library_reads_it() -> None:
    """MaxMind's GeoLite2 City; but for 6to4 and Teredo, which it maps to IPv4 space."""
    file = Path(str(files("_maxminddb_geolite2"))) / "GeoLite2-City.mmdb"
    annotations = Annotations([file])
    draw = random.Random(1)  # noqa: S311 (a seed)
    told = set()
    with maxminddb.open_database(file) as reader:
        for _ in range(10_000):
            v6 = IPv6Address(0x2000 << 112 | draw.getrandbits(125))
            for address in (IPv4Address(draw.getrandbits(32)), v6):
                if isinstance(address, IPv6Address) and (
                    address.sixtofour or address.teredo
                ):
                    continue
                record: Any = reader.get(address) or {}
                country = record.get("country", {}).get("iso_code")
                assert annotations.find(address).country == country, address
                told.add(country)
    assert len(told) > 100


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_prefix2as_says_all_origins_and_takes_the_first(
    compress: Any, tmp_path: Path
) -> None:
    """A set has no first, since its members can't be told apart."""
    text = (
        b"# a comment\n192.0.2.0\t24\t64500\n198.51.100.0\t24\t64502_64501\n"
        b"\n203.0.113.0\t24\t64501,64502\n192.0.2.128\t25\t0\r\n"
        b"2001:db8::\t32\t1_2,3"
    )
    annotations = Annotations([write(tmp_path, compress(text))])
    assert find(annotations, "192.0.2.1") == (64500, None, None, None, None)
    assert find(annotations, "192.0.2.129")[:2] == (0, None)
    assert find(annotations, "198.51.100.9")[:2] == (64502, "64502_64501")
    assert find(annotations, "203.0.113.9")[:2] == (None, "64501,64502")
    assert find(annotations, "2001:db8::")[:2] == (1, "1_2,3")
    assert find(annotations, "192.0.3.0") == NOTHING


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_a_rib_gives_the_origin_that_most_peers_see(
    compress: Any, tmp_path: Path
) -> None:
    """Routes that lead anywhere are left out; the last set of a path is its origin."""
    routes: dict[str, Sequence[AsPath]] = {
        "0.0.0.0/0": [(9,)],
        "128.0.0.0/1": [(9,)],
        "::/0": [(9,)],
        "192.0.0.0/8": [(1, 64500)],
        "192.0.2.0/24": [(1, 7), (2, 5), (3, 5)],
        "198.51.100.0/24": [(1, 7), (2, 5)],
        "203.0.113.0/24": [(1, 2, frozenset({64502, 64501})), (frozenset({8}),)],
        "198.18.0.0/15": [(1, frozenset({64502, 64501}))],
        "2001:db8::/33": [(1, 4_200_000_000)],
        "100.64.0.0/10": [()],
    }
    annotations = Annotations([write(tmp_path, compress(make_rib(routes)))])
    for address in ("8.8.8.8", "129.0.0.1", "2001::", "100.64.0.1"):
        assert find(annotations, address) == NOTHING
    assert find(annotations, "192.1.0.1") == (64500, None, None, None, None)
    assert find(annotations, "192.0.2.1")[:2] == (5, "5_7")
    assert find(annotations, "198.51.100.1")[:2] == (5, "5_7")
    assert find(annotations, "203.0.113.1")[:2] == (8, "8_64501,64502")
    assert find(annotations, "198.18.0.1")[:2] == (None, "64501,64502")
    assert find(annotations, "2001:db8::1")[0] == 4_200_000_000
    assert find(annotations, "2001:db8:8000::")[0] is None


DUMP = {
    "ixpfx": {"data": PREFIXES},
    "ixlan": {"data": LANS},
    "ix": {"data": EXCHANGES},
    "net": {"data": [{"id": 30, "asn": 5, "name": "no exchange", "media": "x"}]},
}
NESTED = [
    {
        "id": 30,
        "name": "Example-IX",
        "ixlan_set": [{"id": 20, "ixpfx_set": [dict(PREFIXES[0]), dict(PREFIXES[1])]}],
    },
    {
        "id": 31,
        "name": "Other-IX",
        "ixlan_set": [{"id": 21, "ixpfx_set": [{"prefix": "203.0.113.0/24"}]}],
    },
]
EACH_WITH_ITS_LAN = [
    dict(prefix, ixlan=dict(lan, ix=exchange))
    for prefix in PREFIXES
    for lan in LANS
    for exchange in EXCHANGES
    if prefix["ixlan_id"] == lan["id"] and lan["ix_id"] == exchange["id"]
]


@pytest.mark.parametrize(
    "documents",
    [
        [json.dumps(DUMP)],
        [json.dumps({"ix": EXCHANGES, "ixlan": LANS, "ixpfx": PREFIXES})],
        [make_answer(PREFIXES), make_answer(EXCHANGES), make_answer(LANS)],
        [make_answer(NESTED)],
        [make_answer(EACH_WITH_ITS_LAN)],
    ],
    ids=["dump", "lists", "answers", "exchanges", "prefixes"],
)
def test_an_exchange_point_is_known_by_its_prefixes(
    documents: list[str], tmp_path: Path
) -> None:
    """In one document of PeeringDB or in several, nested or apart."""
    files = [write(tmp_path, text, f"{n}") for n, text in enumerate(documents)]
    annotations = Annotations(files)
    for address in ("198.51.100.7", "2001:7f8:1::7"):
        assert find(annotations, address) == (None, None, None, None, "Example-IX")
    assert find(annotations, "203.0.113.1")[4] == "Other-IX"
    assert find(annotations, "203.0.112.255") == NOTHING


def test_each_file_fills_what_those_before_left_empty(tmp_path: Path) -> None:
    """AS, origins and name stay together; an AS without a name gets one by number."""
    table = write(tmp_path, "192.0.2.0\t24\t64500\n198.51.100.0\t24\t7,8\n", "table")
    names = write_mmdb(
        tmp_path / "names",
        {
            "192.0.2.0/25": {MAXMIND_ASN: 64501, MAXMIND_NAME: "Other"},
            "198.51.100.0/24": {MAXMIND_ASN: 7, MAXMIND_NAME: "Seven"},
            "203.0.113.0/24": {MAXMIND_ASN: 64500, MAXMIND_NAME: "Named"},
        },
    )
    countries = write_mmdb(
        tmp_path / "countries", {"192.0.2.0/25": {"country": {"iso_code": "DE"}}}
    )
    exchanges = write(tmp_path, json.dumps(DUMP), "exchanges")
    annotations = Annotations([exchanges, table, names, countries])
    assert find(annotations, "192.0.2.1") == (64500, None, "Named", "DE", None)
    assert find(annotations, "192.0.2.200") == (64500, None, "Named", None, None)
    assert find(annotations, "198.51.100.1") == (None, "7,8", None, None, "Example-IX")
    assert find(annotations, "203.0.113.1") == (64500, None, "Named", None, "Other-IX")
    turned = Annotations([names, table])
    assert find(turned, "192.0.2.1")[:3] == (64501, None, "Other")
    assert find(turned, "192.0.2.200")[:3] == (64500, None, "Named")


def test_a_column_of_addresses_is_annotated_by_row(tmp_path: Path) -> None:
    """Nulls are known to be nothing; batches may be many."""
    file = write(tmp_path, "192.0.2.0\t24\t64500\n2001:db8::\t32\t64501_5\n")
    addresses = [
        IPv6Address("::ffff:192.0.2.1").packed,
        None,
        IPv6Address("2001:db8::").packed,
        IPv6Address("::192.0.2.1").packed,
    ]
    column = pa.chunked_array([pa.array(addresses, pa.binary(16))] * 2)
    table = pa.table({"addr": column, "other": list(range(8))})
    found = pa.table(Annotations([file]).annotate(table, "addr"))
    assert found.column_names == ["asn", "origins", "as_name", "country", "ixp"]
    assert found.column("asn").to_pylist() == [64500, None, 64501, None] * 2
    assert found.column("origins").to_pylist() == [None, None, "64501_5", None] * 2
    assert found.column("ixp").to_pylist() == [None] * 8
    for name in ("other", "gone"):
        with pytest.raises(ValueError, match=f"must have a column {name} of 16-byte"):
            Annotations([file]).annotate(table, name)


def test_without_files_nothing_is_known() -> None:
    """About no address."""
    assert find(Annotations([]), "192.0.2.1") == NOTHING


@st.composite
def networks(draw: st.DrawFn, bits: int) -> tuple[int, int]:
    """A prefix that often holds others, or is held: number and length."""
    few = st.integers(0, 3)
    number = draw(few) << (bits - 2) | draw(few) << (bits // 2) | draw(few)
    length = draw(st.integers(0, bits))
    return number >> (bits - length) << (bits - length), length


@given(
    st.lists(networks(32), max_size=20),
    st.lists(networks(128), max_size=20),
    st.data(),
)
def test_the_longest_prefix_holds(
    v4: list[tuple[int, int]], v6: list[tuple[int, int]], data: st.DataObject
) -> None:
    """As Python's own ipaddress finds it; of equal prefixes, the first."""
    made = [ip_network((IPv4Address(number), length)) for number, length in v4]
    made += [ip_network((IPv6Address(number), length)) for number, length in v6]
    # An IPv4-mapped address is written as IPv4.
    made = [each for each in made if not str(each).startswith("::ffff:")]
    lines = [
        f"{prefix.network_address}\t{prefix.prefixlen}\t{asn}\n"
        for asn, prefix in enumerate(made)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), "".join(["255.255.255.255\t32\t999\n", *lines]))
        annotations = Annotations([file])
    edges = [end for prefix in made for end in (prefix[0], prefix[-1])]
    drawn = data.draw(st.lists(st.ip_addresses(), max_size=5))
    near = [
        type(edge)(int(edge) + step)
        for edge in edges
        for step in (-1, 1)
        if 0 <= int(edge) + step < 1 << edge.max_prefixlen
    ]
    for address in [*edges, *near, *drawn]:
        holding = [
            (-prefix.prefixlen, asn)
            for asn, prefix in enumerate(made)
            if address in prefix
        ]
        if str(address) == "255.255.255.255":
            holding.append((-32, -1))
        expected = min(holding)[1] if holding else None
        expected = 999 if expected == -1 else expected
        assert annotations.find(address).asn == expected


def test_what_can_not_be_used_is_refused_in_a_line(tmp_path: Path) -> None:
    """It names the file, the place and the remedy."""
    rib = make_rib({"192.0.2.0/24": [(1, 2)], "198.51.100.0/24": [(1, 2), (3, 2)]})
    database = write_mmdb(tmp_path / "db", {"192.0.2.0/24": {MAXMIND_ASN: 1}})
    other = write_mmdb(tmp_path / "o", {"192.0.2.0/24": {"x": 1}}, "Connection-Type")
    short = rib.replace(b"\x00\x02\x00\x00\x00\x00\x00\x00", b"\x00\x03" + b"\x00" * 6)
    zipped = gzip.compress(b"192.0.2.0\t24\t64500\n" * 1000)
    bad: list[tuple[bytes, str]] = [
        (b"", "is empty; download it again"),
        (b"hello\n", "line 1: 'hello' is not PREFIX"),
        (b"# only\n", "has no prefix; download it again"),
        (b"192.0.2.0\t24\t1\n192.0.2.1\t24\t1\n", "line 2: 192.0.2.1/24 has host bits"),
        (b"192.0.2.0\t33\t1\n", "line 1: the prefix length of"),
        (b"192.0.2.0\t24\tAS1\n", "line 1: 'AS1' are no ASes such as 64500"),
        (b"192.0.2.0\t24\t1\t\xff\n", "line 1: '' is not PREFIX"),
        (b"x" * 100_000, "line 1: 'x"),
        (zipped[:-9], "the gzip data before byte [0-9]+ can't be read .*cut short"),
        (bz2.compress(zipped)[:-9], "the bzip2 data before byte [0-9]+ can't be read"),
        (b"\x28\xb5\x2f\xfd123", "is compressed with zstd; unpack it first"),
        (b"\xfd7zXZ\x00", "is compressed with xz; unpack it first"),
        (gzip.compress(b"f" * 257 + b"ustar"), "is a tar archive; unpack it"),
        (rib[:-1], "the MRT record at byte 108 of the unpacked data .*cut short"),
        (short, "the MRT record at byte 108 .*only 2 of its entries are whole"),
        (gzip.compress(rib)[:-9], "the gzip data before byte"),
        (b"\0\0\0\0\0\x10\0\4" + b"\0" * 8, "without a whole RIB; name a RIB dump"),
        (b"\0\0\0\0\0\x0c\0\1" + b"\0" * 8, "of the old type TABLE_DUMP"),
        (b"\0\1\2\3\4\5\6\7", "is of no format that is read; name an MMDB"),
        (database.read_bytes()[100:], "the MMDB is damaged or cut short"),
        (other.read_bytes(), "type .Connection-Type., which names neither AS nor"),
        (b"{}", "has no exchange point, LAN or prefix; name an answer"),
        (b'{"data": [', r"is not PeeringDB's JSON \(EOF.*line 1 column 10"),
        (b"[" * 100_000, "is not PeeringDB's JSON"),
        (b'{"data": [{"prefix": "1"}]}', "the prefix '1' has no ixlan_id"),
        (b'{"data": [{"prefix": "1", "ixlan_id": 1}]}', "'1' is not an IP address"),
        (make_answer(PREFIXES).encode(), "name PeeringDB's /api/ixlan and /api/ix"),
        (make_answer(EXCHANGES).encode(), "none of their prefixes; name"),
    ]
    for content, reason in bad:
        file = write(tmp_path, content)
        with pytest.raises(ValueError, match=reason.replace("'", "[\"']")) as told:
            Annotations([file])
        assert str(told.value).startswith(f"{file}: ")
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 600


def test_a_file_that_can_not_be_read_is_told_as_python_does(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / 'gone'}")):
        Annotations([tmp_path / "gone"])
    with pytest.raises(IsADirectoryError):
        Annotations([tmp_path])


def test_damaged_files_end_in_a_line_or_are_read(tmp_path: Path) -> None:
    """Whichever bytes are other than they were, or missing."""
    records = {
        "192.0.2.0/24": {MAXMIND_ASN: 64500, MAXMIND_NAME: "A"},
        "2001:db8::/32": {"country": {"iso_code": "DE"}, "asn": "AS5"},
    }
    whole = [
        write_mmdb(tmp_path / "db", records).read_bytes(),
        make_rib({"192.0.2.0/24": [(1, 2), (3,)], "2001:db8::/32": [(1, 5)]}),
        json.dumps(DUMP).encode(),
        b"192.0.2.0\t24\t64500_5\n2001:db8::\t32\t5,6\n",
    ]
    whole += [gzip.compress(content) for content in whole]
    chance = random.Random(1)  # noqa: S311 (no secret)
    for content in whole:
        for _ in range(200):
            damaged = bytearray(content)
            for _ in range(chance.randrange(1, 4)):
                place = chance.randrange(len(damaged))
                damaged[place] = chance.choice((0, 255, chance.randrange(256)))
            end = chance.choice((len(damaged), chance.randrange(len(damaged))))
            file = write(tmp_path, bytes(damaged[:end]))
            told = f"{file}: "
            try:
                annotations = Annotations([file])
            except ValueError as error:
                told = str(error)
            else:
                find(annotations, "192.0.2.1")
            assert told.startswith(f"{file}: ")


def test_a_database_that_leads_in_circles_ends(tmp_path: Path) -> None:
    """Each node leads to the next one twice: more networks than anybody can list."""
    file = write_mmdb(tmp_path / "db", {"192.0.2.0/24": {MAXMIND_ASN: 1}})
    content = file.read_bytes()
    end = content.index(b"\0" * 16)
    size = {24: 6, 28: 7, 32: 8}
    bits = content[content.rindex(b"record_size") + len(b"record_size") + 1]
    assert bits == 24
    nodes = end // size[bits]
    circles = b"".join(2 * min(n + 1, nodes).to_bytes(3) for n in range(nodes))
    write(tmp_path, circles + content[len(circles) :])
    with pytest.raises(ValueError, match="leads to a node by two ways"):
        Annotations([tmp_path / "file"])
