"""Files of other tools, imported without a network."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

import anabranch
from anabranch.cli import main
from anabranch.local import archive, partwriter

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = (
    "capture_timestamp,probe_protocol,probe_src_addr,probe_dst_addr,probe_src_port,"
    "probe_dst_port,probe_ttl,quoted_ttl,reply_src_addr,reply_protocol,reply_icmp_type,"
    "reply_icmp_code,reply_ttl,reply_size,reply_mpls_labels,rtt,round"
)


def reply(ttl: int, protocol: int = 17) -> str:
    """A line of caracal's."""
    return (
        f"1638522471,{protocol},::ffff:198.18.0.2,::ffff:240.0.0.9,24000,33434,{ttl},1,"
        f"::ffff:240.9.0.{ttl},1,11,0,250,56,[],12,1"
    )


CSV = "\n".join((NAMES, reply(1), reply(2), reply(3), "")).encode()


def trace(destination: str, method: str = "udp-paris", hops: int = 3) -> str:
    """A line of scamper's JSON."""
    replies = [
        {"addr": f"240.9.0.{ttl}", "probe_ttl": ttl, "rtt": ttl, "icmp_type": 11}
        | {"icmp_code": 0, "probe_id": 1, "probe_size": 44}
        for ttl in range(1, hops + 1)
    ]
    return json.dumps(
        {"type": "trace", "version": "0.1", "method": method, "src": "198.18.0.2"}
        | {"dst": destination, "hop_count": hops, "hops": replies}
        | {"sport": 24000, "dport": 33434, "stop_reason": "GAPLIMIT"}
    )


PING = '{"type":"ping", "version":"0.4", "method":"icmp-echo", "dst":"240.0.0.9"}'


@pytest.fixture
def take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Writes files by their names, and imports them; what the command says."""
    monkeypatch.chdir(tmp_path)

    def do(files: dict[str, bytes | str], *words: str, code: int = 0) -> str:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / name).write_bytes(data)
        assert main(["import", *files, "--allow-reserved", *words]) == code
        told = capfd.readouterr()
        return told.err if code else told.out

    return do


def read(table: str) -> list[dict[str, Any]]:
    """The rows of a table of what was imported."""
    rows: list[dict[str, Any]] = (
        anabranch.open("anabranch-data", "imported").read(table).to_pylist()
    )
    return rows


def test_what_is_left_out_is_counted_and_named(take: Callable[..., str]) -> None:
    """Traces by TCP, pings, and what is of another kind."""
    lines = [trace("240.0.0.9"), trace("240.0.0.9", "tcp"), PING, PING]
    lines.append('{"type":"dealias", "version":"0.2"}')
    said = take({"a.json": "\n".join(lines)})
    assert said.splitlines() == [
        "imported: 1 traces, 3 replies, 2 links, in anabranch-data",
        "imported: 1 x dealias left out",
        "imported: 2 x ping left out",
        "imported: 1 x tcp trace left out",
    ]
    assert [row["protocol"] for row in read("traces")] == [17]
    told = take({"b.json": PING}, "--name", "b", code=1)
    assert told == "anabranch: the files hold no traces, only: 1 x ping\n"


def test_further_traces_of_a_destination_have_flows_of_their_own(
    take: Callable[..., str],
) -> None:
    """Within a file, and from one file to the next."""
    one, other = trace("240.0.0.9"), trace("3fff::9", hops=2)
    take({"a.json": f"{one}\n{other}\n{one}", "b.json": f"{other}\n{one}"})
    flows = {(row["probe_dst_addr"], row["flow"]) for row in read("probes")}
    assert flows == {
        *(("240.0.0.9", nth << 16) for nth in range(3)),
        *(("3fff::9", nth << 16) for nth in range(2)),
    }
    assert len(read("probes")) == 3 * 3 + 2 * 2
    assert sorted(row["flows"] for row in read("links")) == [3, 5]


@pytest.mark.parametrize("kind", ["traces", "replies"])
def test_parts_and_pieces_may_be_small(
    kind: str, take: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The survey is the same."""
    files: dict[str, bytes | str] = {
        f"{n}": trace(f"240.0.{n % 3}.9")
        if kind == "traces"
        else CSV.replace(b"240.0.0.9", f"240.0.{n % 3}.9".encode()).replace(
            b"33434", f"{n}".encode()
        )
        for n in range(7)
    }
    take(files)
    tables = ("links", "replies")
    whole = {table: sorted(map(str, read(table))) for table in tables}
    shutil.rmtree("anabranch-data")
    monkeypatch.setattr(archive, "_PIECE_ROWS", 4)
    monkeypatch.setattr(archive, "PIECE_ROWS", 4)
    monkeypatch.setattr(partwriter, "_PART_ROWS", 4)
    take(files)
    parts = list(Path("anabranch-data").rglob("replies/*/*.parquet"))
    assert len(parts) > 2
    assert {table: sorted(map(str, read(table))) for table in tables} == whole
    assert len(read("links")) == 2


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, zstandard.compress]
)
def test_content_tells_what_a_file_is(
    compress: Callable[[bytes], bytes], take: Callable[..., str]
) -> None:
    """Whatever its name is, alone or in an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as members:
        for port in (b"33435", b"33436"):
            content = CSV.replace(b"33434", port)
            member = tarfile.TarInfo(port.decode())
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    said = take({"a": compress(CSV), "b": compress(packed.getvalue())})
    assert said == "imported: 9 replies, 2 links, in anabranch-data\n"
    assert {row["probe_ttl"] for row in read("replies")} == {1, 2, 3}


def test_replies_to_other_protocols_are_counted(take: Callable[..., str]) -> None:
    """Those of ICMP and UDP count."""
    said = take({"a.csv": CSV + f"{reply(1, 6)}\n".encode()})
    assert "1 x reply to a probe by another protocol left out" in said


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.csv": b""}, "a.csv: byte 0: it is empty"),
        ({"a.csv": NAMES}, "the files hold no replies"),
        ({"a.csv": f"{NAMES}\n1,2"}, "a.csv: line 2: it has 2 fields"),
        (
            {"a.csv": CSV, "b.csv": CSV.replace(b",24000,", b",here,")},
            "anabranch: b.csv: line 2: probe_src_port is",
        ),
        ({"a.csv": zstandard.compress(CSV)[:-9]}, "a.csv: "),
        ({"a.csv": CSV, "b.json": trace("240.0.0.9")}, "b.json: traces and replies"),
        (
            {"a.yrp": "# yarrp v0.7\n"},
            "a.yrp: byte 0: it is Yarrp's output; make warts",
        ),
        ({"a.txt": "hello"}, "a.txt: byte 0: its content is of no format"),
    ],
)
def test_files_that_can_not_be_used_are_named(
    files: dict[str, bytes | str], told: str, take: Callable[..., str]
) -> None:
    """In a line, and nothing is kept."""
    (line,) = take(files, code=1).splitlines()
    assert line.startswith("anabranch: ")
    assert told in line
    with pytest.raises(LookupError):
        read("links")


def test_an_empty_file_is_told_when_its_format_is_given(
    take: Callable[..., str],
) -> None:
    """As caracal leaves it when it is killed."""
    told = take({"a.csv": b""}, "--format", "caracal-csv", code=1)
    assert told == (
        "anabranch: a.csv: line 1: it is empty; caracal's replies begin with the names "
        "of their columns\n"
    )
