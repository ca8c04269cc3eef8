"""The results of a run in a folder, as tables."""

from __future__ import annotations

import io
import json
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anabranch_engine import Annotations, Plan, TargetList

from anabranch.rounds.steps import FIRST
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys
from anabranch.warehouse.annotation import Annotator
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.embedded import EmbeddedEngine

KEYS = RunKeys("uid", "1", "paris")
UNMESHED = [
    *((1, "10.0.1.0", f"10.0.2.{far}") for far in range(4)),
    *((2, f"10.0.2.{near}", f"10.0.3.{near % 2}") for near in range(4)),
    *((3, f"10.0.3.{near}", "10.0.4.0") for near in range(2)),
]
"""The links of the diamond in Figure 1 of Vermeulen et al. (IMC 2018), not meshed."""
PLACE = {
    "agent": "paris",
    "prefix": "240.0.0.0/24",
    "protocol": 17,
    "divergence_ttl": 1,
    "divergence_addr": "10.0.1.0",
    "convergence_ttl": 4,
    "convergence_addr": "10.0.4.0",
    "max_length": 3,
    "max_width": 4,
}
BETWEEN_ROUTERS = dict.fromkeys(
    ("becomes", "router_diamonds", "router_max_length", "router_max_width")
)
"""What is null where routers are not known."""
METRICS = ("width_asymmetry", "meshed_ratio", "probability_difference")


@pytest.fixture(scope="module")
def engine() -> EmbeddedEngine:
    """An engine in this process."""
    return open_embedded()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A folder with a run of one target, which has no links yet."""
    store = DirectoryStore(tmp_path / "data")
    targets = store.path(KEYS.targets)
    targets.parent.mkdir(parents=True)
    Plan.write(
        targets,
        TargetList.read(io.BytesIO(b"240.0.0.0/24,udp,1,20,6\n")).split(24, 64),
        initial_source_port=24000,
        destination_port=33434,
        flow_mapper="SequentialFlowMapper",
        order_seed=1,
    )
    return store


def put_table(store: DirectoryStore, key: str, **columns: Any) -> None:
    """Puts a Parquet object."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    store.put(key, out.getvalue())


def put_links(store: DirectoryStore, links: list[tuple[int, str, str]]) -> None:
    """Puts the links of a step to the target, each twice, as of two rounds."""
    step = KEYS.step(FIRST)
    twice = sorted(links * 2)
    ends = [
        pa.array([pack(address) for address in column], pa.binary(16))
        for column in (list(zip(*twice, strict=True))[1:])
    ]
    count = len(twice)
    put_table(
        store,
        f"{step.root}/links/00000-000.parquet",
        prefix_index=pa.array([0] * count, pa.uint32()),
        near_ttl=pa.array([link[0] for link in twice], pa.uint8()),
        near_round=pa.array([1, 2] * len(links), pa.uint8()),
        far_round=pa.array([1, 2] * len(links), pa.uint8()),
        near_addr=ends[0],
        far_addr=ends[1],
        flows=pa.array([1] * count, pa.uint32()),
    )
    put_table(
        store,
        f"{step.root}/prefixes/00000-000.parquet",
        prefix_index=pa.array([0], pa.uint32()),
        replies=pa.array([count], pa.uint64()),
        has_amplification=pa.array([0], pa.uint8()),
        has_loops=pa.array([0], pa.uint8()),
    )


def pack(address: str) -> bytes:
    return IPv6Address(f"::ffff:{address}").packed


def write_diamonds(
    store: DirectoryStore, engine: EmbeddedEngine, scratch: Path, output_format: str
) -> bytes:
    """What is written of them."""
    results = Results(store, engine, [KEYS], scratch, store)
    file = scratch / "diamonds.out"
    results.write("diamonds", output_format, file)
    return file.read_bytes()


def read_diamonds(
    store: DirectoryStore, engine: EmbeddedEngine, scratch: Path
) -> list[dict[str, Any]]:
    """Their rows."""
    lines = write_diamonds(store, engine, scratch, "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def test_diamonds_have_the_metrics_of_their_links(
    store: DirectoryStore, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """Links of two rounds count once."""
    put_links(store, UNMESHED)
    wanted = PLACE | dict.fromkeys(METRICS, 0) | BETWEEN_ROUTERS
    assert read_diamonds(store, engine, tmp_path) == [wanted]


def test_what_is_not_known_of_a_diamond_is_null_or_an_empty_field(
    store: DirectoryStore, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """If links are missing."""
    put_links(store, UNMESHED[:-1])
    wanted = PLACE | dict.fromkeys(METRICS) | BETWEEN_ROUTERS
    assert read_diamonds(store, engine, tmp_path) == [wanted]
    (tmp_path / "diamonds.out").unlink()
    told = write_diamonds(store, engine, tmp_path, "csv").decode().splitlines()
    assert told[0].split(",") == [f'"{name}"' for name in wanted]
    assert told[1].endswith(",3,4,,,,,,,")


def test_diamonds_that_an_earlier_version_stored_stay_and_have_nulls(
    store: DirectoryStore, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """It did not store the metrics that rest on links."""
    put_links(store, UNMESHED)
    put_table(
        store,
        KEYS.diamonds(0, 0),
        prefix_index=pa.array([0], pa.uint32()),
        divergence_ttl=pa.array([1], pa.uint8()),
        divergence_addr=pa.array([pack("10.0.1.0")], pa.binary(16)),
        convergence_ttl=pa.array([4], pa.uint8()),
        convergence_addr=pa.array([pack("10.0.4.0")], pa.binary(16)),
        max_length=pa.array([3], pa.uint8()),
        max_width=pa.array([4], pa.uint32()),
    )
    wanted = PLACE | dict.fromkeys(METRICS) | BETWEEN_ROUTERS
    assert read_diamonds(store, engine, tmp_path) == [wanted]


PREFIX2AS = "10.0.0.0\t16\t64500\n10.0.2.0\t24\t64501\n10.0.3.0\t31\t64502_64500\n"
"""The second hop is another AS; of the third, one interface has two origins."""
LAN = {
    "ix": [{"id": 1, "name": "Example-IX", "media": "Ethernet"}],
    "ixlan": [{"id": 2, "ix_id": 1}],
    "ixpfx": [{"ixlan_id": 2, "prefix": "10.0.2.3/32"}],
}


def write_annotated(
    table: str,
    store: DirectoryStore,
    engine: EmbeddedEngine,
    scratch: Path,
    *documents: str,
) -> list[dict[str, Any]]:
    """The rows of a table with what documents say."""
    files = [scratch / f"annotations-{number}" for number in range(len(documents))]
    for file, text in zip(files, documents, strict=True):
        file.write_text(text)
    annotator = Annotator(Annotations(files), engine, scratch)
    results = Results(store, engine, [KEYS], scratch, store, annotator)
    out = scratch / "out"
    results.write(table, "jsonl", out)
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_links_say_what_is_known_about_both_ends(
    store: DirectoryStore, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """Behind their own columns."""
    put_links(store, UNMESHED)
    documents = (PREFIX2AS, json.dumps(LAN))
    rows = write_annotated("links", store, engine, tmp_path, *documents)
    assert len(rows) == len(UNMESHED)
    assert list(rows[0])[-10:] == [
        *("near_asn", "near_origins", "near_as_name", "near_country", "near_ixp"),
        *("far_asn", "far_origins", "far_as_name", "far_country", "far_ixp"),
    ]
    by_ends = {(row["near_addr"], row["far_addr"]): row for row in rows}
    row = by_ends["10.0.2.3", "10.0.3.1"]
    assert (row["near_asn"], row["near_ixp"]) == (64501, "Example-IX")
    assert (row["far_asn"], row["far_origins"]) == (64502, "64502_64500")
    assert row["far_as_name"] is row["far_country"] is row["far_ixp"] is None
    assert row["min_near_ttl"] == 2


def test_an_as_link_rests_on_ends_of_one_known_origin(
    store: DirectoryStore, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """None inside an AS, none to an exchange point, none where two ASes are as likely.

    Suspect links do not count, either.
    """
    put_links(store, UNMESHED)
    whole = write_annotated("as_links", store, engine, tmp_path, PREFIX2AS)
    (only,) = whole
    assert only == {
        "agent": "paris",
        "near_asn": 64500,
        "near_as_name": None,
        "far_asn": 64501,
        "far_as_name": None,
        "links": 4,
        "near_interfaces": 1,
        "far_interfaces": 4,
        "first_round": 1,
    }
    (tmp_path / "out").unlink()
    documents = (PREFIX2AS, json.dumps(LAN))
    (fewer,) = write_annotated("as_links", store, engine, tmp_path, *documents)
    assert (fewer["links"], fewer["far_interfaces"]) == (3, 3)


def test_what_has_no_addresses_can_not_be_annotated(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """The message says which tables have some."""
    annotator = Annotator(Annotations([]), engine, tmp_path)
    with pytest.raises(LookupError, match="rewrites can't be annotated, only interf"):
        annotator.annotate("rewrites", "SELECT 1", engine)
