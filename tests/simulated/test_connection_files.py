"""What is kept of the traces of clients, and who reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from chdb.session import Session

from clientele import AGENT, PORT, read_files, read_outcomes
from clientscripts import play, play_manifest
from devcluster.binaries import MLABPARSE, build
from devcluster.process import run_tool
from examples import EXAMPLES
from surveying import POLICY
from topologies import Layers
from world import World

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_each_client_is_traced_once_and_others_get_copies(tmp_path: Path) -> None:
    """Over IPv4 and IPv6; the server's socket is of IPv6 for both."""
    script = """
with clientele() as clients:
    run = Running(manifest, data)
    both = [f"240.0.{k}.1" for k in range(20)] + [f"3fff:0:0:{k}::1" for k in range(5)]
    clients.connect(both * 3)
    run.settle()
    clients.connect(both[:5])
    run.settle()
    run.stop()
"""
    data = play(script, tmp_path)
    assert count_outcomes(data) == {"traced": 25, "copied": 55}
    for each in read_outcomes(data):
        assert find_keys(each) <= read_schema("connections")
        assert ("first_hop" in each) == (each["outcome"] == "traced")
        for hop in each.get("first_hop", []):
            assert {probe["ttl"] for probe in hop["probes"]} == {1}
    files = read_files(data)
    assert len(files) == 80
    traces = [(lines[0], find_trace(lines)) for lines in files.values()]
    own = {m["UUID"]: trace for m, trace in traces if not m["CachedResult"]}
    assert len({trace["dst"] for trace in own.values()}) == len(own) == 25
    for metadata, trace in traces:
        if metadata["CachedResult"]:
            assert own[metadata["CachedUUID"]] == trace
        assert trace["method"] == "icmp-echo"
        assert trace["probec"] > 20
        assert "::ffff:" not in trace["dst"]
    for name, lines in files.items():
        folder, _, uuid = name.rpartition("Z_")
        assert uuid == f"{lines[0]['UUID']}.jsonl"
        assert folder.startswith("20")


def test_archives_are_what_other_programs_read(tmp_path: Path) -> None:
    """The same keys as scamper's own; and a survey can be made of them."""
    script = """
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect([f"240.0.{k}.1" for k in range(10)])
    run.settle()
    run.stop()
"""
    data = play(script, tmp_path, World(switches={"mpls": 1.0}))
    archives = list(data.glob("agents/*/*/*/archives/scamper1/**/*.tgz"))
    (archive,) = archives
    assert archive.name.endswith(f"Z-scamper1-{AGENT}-ndt.tgz")
    words = [sys.executable, "-m", "anabranch", "import", str(archive)]
    more = ["--data", str(tmp_path / "imported"), "--allow-reserved"]
    subprocess.run([*words, *more], check=True, stdout=subprocess.DEVNULL)
    show = [sys.executable, "-m", "anabranch", "results", "imported"]
    where = ["--data", str(tmp_path / "imported"), "--format", "jsonl"]
    out = tmp_path / "links.jsonl"
    words = [*show, *where, "--table", "links", "--output", str(out)]
    subprocess.run(words, check=True)
    links = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(links) > 20
    rows = read_view(archive)
    assert {row["id"] for row in rows} == {
        lines[0]["UUID"] for lines in read_files(data).values()
    }
    assert set().union(*map(find_keys, rows)) == read_schema("scamper1")
    for row in rows:
        nodes = row["raw"]["Tracelb"]["nodes"]
        links = [link for n in nodes for hop in n["links"] for link in hop["Links"]]
        assert all(link["probes"] or link["addr"] == "*" for link in links)


def test_files_are_those_of_traceroute_caller_and_scamper(tmp_path: Path) -> None:
    """M-Lab's own parser reads each; scamper's trace of a client has the same keys.

    scamper tells it as JSON itself, and sc_warts2json tells its file of warts.
    """
    layers = Layers((1, 2, 1))
    (tmp_path / "layers.txt").write_text(layers.file(0))
    near = layers.destination(0)
    world = World(topologies=(tmp_path / "layers.txt",), prefixes=20, prefixes_v6=5)
    script = f"""
import subprocess
with clientele() as clients:
    run = Running(manifest, data)
    others = [f"240.0.{{k}}.1" for k in range(11)] + ["3fff:0:0:1::1"]
    clients.connect([{near!r}, *others])
    run.settle()
    run.stop()
subprocess.run("ip route add default via 198.18.0.1".split(), check=True)
what = "tracelb -P icmp-echo -q 3 -W 15 {near}"
for form in ("json", "warts"):
    words = ["scamper", "-o", str(data / form), "-O", form, "-I", what]
    subprocess.run(words, check=True)
"""
    data = play(script, tmp_path, world)
    names = []
    for archive in data.glob("agents/*/*/*/archives/scamper1/**/*.tgz"):
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path / "files", filter="data")
            names += [str(tmp_path / "files" / name) for name in tar.getnames()]
    told = run_tool(build(MLABPARSE), stdin="".join(f"{each}\n" for each in names))
    parsed = [json.loads(line) for line in told.splitlines()]
    assert len(parsed) == len(names) == 13
    files = [Path(name).read_bytes().splitlines() for name in names]
    ours = [json.loads(lines[2]) for lines in files]
    for each, trace in zip(parsed, ours, strict=True):
        assert each["start"] <= trace["start"]["sec"]
        assert set(each["hops"]) == list_addresses(trace)
    (same,) = (trace for trace in ours if trace["dst"] == near)
    told = run_tool("sc_warts2json", str(data / "warts"))
    for lines in ((data / "json").read_text(), told):
        _, theirs, _ = map(json.loads, lines.splitlines())
        assert list(same) == list(theirs)
        assert find_keys(same) == find_keys(theirs)


def test_hops_are_annotated_once_a_day(tmp_path: Path) -> None:
    """By what objects of the store say, in files of M-Lab's form."""
    script = """
(data / "known").mkdir(parents=True)
(data / "known/pfx2as.txt").write_text("255.128.0.0\\t9\\t64496\\n")
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect([f"240.0.{k}.1" for k in range(6)])
    run.settle()
    run.stop()
"""
    known = [{"object": {"key": "known/pfx2as.txt"}}]
    data = play(script, tmp_path, spec={"annotateFrom": known})
    traces = [find_trace(lines) for lines in read_files(data).values()]
    hops = set().union(*map(list_addresses, traces))
    told = read_files(data, "hopannotation1")
    found = {name.rpartition("_")[2].removesuffix(".json") for name in told}
    assert hops <= found
    for (about,) in told.values():
        day, host, address = about["ID"].split("_")
        assert (len(day), host) == (8, AGENT)
        network = about["Annotations"]["Network"]
        routers = address.startswith("255.")
        assert network.get("ASNumber") == (64496 if routers else None)
        assert find_keys(about) <= read_schema("hopannotation1")


def test_what_is_kept_of_a_client_may_be_its_netblock(tmp_path: Path) -> None:
    """None of its addresses stands anywhere."""
    script = """
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect(["240.0.3.77", "3fff:0:0:3::77"])
    run.settle()
    run.stop()
"""
    data = play(script, tmp_path, anonymize="netblock")
    told = json.dumps([read_files(data), read_outcomes(data)])
    assert "240.0.3.77" not in told
    assert "3fff:0:0:3::77" not in told
    destinations = {find_trace(lines)["dst"] for lines in read_files(data).values()}
    assert destinations == {"240.0.3.0", "3fff:0:0:3::"}


def test_hops_are_annotated_by_uuid_annotator(tmp_path: Path) -> None:
    """Also those that were met before it came."""
    script = """
from annotatorsocket import play_annotator
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect(["240.0.1.1", "3fff:0:0:1::1"])
    run.settle()
    with play_annotator(data.parent / "annotator.sock"):
        run.stop()
"""
    agent = {"annotationSocket": str(tmp_path / "annotator.sock")}
    data = play(script, tmp_path, agent=agent)
    traces = [find_trace(lines) for lines in read_files(data).values()]
    hops = set().union(*map(list_addresses, traces))
    told = [about for (about,) in read_files(data, "hopannotation1").values()]
    names = [about["Annotations"]["Network"]["ASName"] for about in told]
    assert [about["ID"].rpartition("_")[2] for about in told] == names
    assert hops <= set(names)


def test_the_example_serves(tmp_path: Path) -> None:
    """In simulated networks and at the port of the server here, and nothing else."""
    file = EXAMPLES / "connections.yaml"
    documents = list(yaml.safe_load_all(file.read_text()))
    cluster = yaml.safe_load_all((EXAMPLES / "kubernetes" / file.name).read_text())
    agent, measurement = (each["spec"] for each in documents[1:])
    assert [agent | {"nodeName": "n1"}, measurement] == [d["spec"] for d in cluster]
    documents[0]["spec"] |= POLICY
    agent["allowReserved"] = True
    (entry,) = measurement["agents"]
    entry["connections"]["ports"] = [PORT]
    manifest = tmp_path / file.name
    manifest.write_text(yaml.safe_dump_all(documents))
    script = """
with clientele() as clients:
    run = Running(manifest, data)
    clients.connect([f"240.0.{k}.1" for k in range(5)])
    run.settle()
    run.stop()
"""
    data = play_manifest(script, manifest, tmp_path / "data")
    assert count_outcomes(data) == {"traced": 5}
    archives = list(data.glob(f"agents/{AGENT}/*/*/archives/scamper1/**/*.tgz"))
    assert archives
    assert all(each.name.endswith(f"{AGENT}-web.tgz") for each in archives)


def count_outcomes(data: Path) -> Mapping[str, int]:
    """How many connections have each outcome."""
    return Counter(each["outcome"] for each in read_outcomes(data))


def find_trace(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The line of the trace in a file."""
    metadata, start, trace, stop = lines
    assert list(metadata) == [
        *("UUID", "TracerouteCallerVersion", "CachedResult", "CachedUUID")
    ]
    assert (start["type"], stop["type"]) == ("cycle-start", "cycle-stop")
    assert start["start_time"] <= trace["start"]["sec"] <= stop["stop_time"]
    assert start["hostname"] == stop["hostname"] == AGENT
    return trace


def list_addresses(trace: dict[str, Any]) -> set[str]:
    """The addresses that reply on the way of a trace."""
    found = {link["addr"] for link in list_links(trace)}
    return (found | {node["addr"] for node in trace["nodes"]}) - {"*"}


def list_links(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The ends of all links of a trace."""
    nodes = trace["nodes"]
    return [link for node in nodes for hop in node["links"] for link in hop]


def read_view(archive: Path) -> list[dict[str, Any]]:
    """An archive as ClickHouse shows it, by the example's view."""
    lines = (EXAMPLES / "clickhouse/scamper1.sql").read_text().splitlines()
    sql = "\n".join(line for line in lines if not line.startswith("--"))
    where = f"file('{archive} :: **.jsonl', 'LineAsString', 'line String')"
    with Session() as session:  # type: ignore[no-untyped-call]
        session.query("CREATE DATABASE mlab")
        session.query("USE mlab")
        session.query(sql.replace("ARCHIVES", where))
        shown = session.query("SELECT * FROM scamper1", "JSONEachRow")
    return [json.loads(line) for line in str(shown).splitlines()]


def read_schema(datatype: str) -> set[str]:
    """Where each field stands of what an archive has, by the schema for BigQuery."""
    file = EXAMPLES / "bigquery" / f"{datatype}.json"
    return list_fields(json.loads(file.read_text()))


def list_fields(schema: list[dict[str, Any]], path: str = "") -> set[str]:
    """Where each field of a BigQuery schema stands."""
    found = set()
    for field in schema:
        here = f"{path}.{field['name']}"
        found.add(here)
        inner = f"{here}[]" if field["mode"] == "REPEATED" else here
        found |= list_fields(field.get("fields", []), inner)
    return found


def find_keys(value: Any, path: str = "") -> set[str]:
    """Where each key stands in JSON."""
    if isinstance(value, list):
        return set().union(*(find_keys(each, f"{path}[]") for each in value))
    if not isinstance(value, dict):
        return set()
    inner = (find_keys(each, f"{path}.{key}") for key, each in value.items())
    return {f"{path}.{key}" for key in value}.union(*inner)
