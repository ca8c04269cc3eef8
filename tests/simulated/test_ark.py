"""Files of a team's cycles as Ark's users know them, read by scamper's programs."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

import anabranch
from anabranch.formats.ark import put_ark
from anabranch.jobs.results import gather
from anabranch.runs.record import RunRecord
from anabranch.runs.roster import Member, Roster
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import RunKeys, SurveyKeys
from anabranch.store.s3 import S3Store
from anabranch.warehouse.environment import open_warehouse
from examples import EXAMPLES
from surveying import command, write_manifests
from world import ANSWERING, World

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3

WORLD = World(prefixes=64, prefixes_v6=0, vantage_points=3)
TARGETS = 30
TEAM = {"name": "team-2", "selector": {}, "targetList": "list", "division": "shared"}
TRACES = {
    "trace": {
        "algorithm": "singlePath",
        "attempts": 1,
        "gapLimit": 2,
        "prefixLenV4": 24,
        "randomDestination": {},
    }
}
SURVEY = "survey-000002"
KEYS = RunKeys(f"default.{SURVEY}", "1", "team-2")
NAME = re.compile(r"(agent[123])\.team-probing\.c000002\.(\d{8}(?:\.\d\d)?)\.warts\.gz")
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cycles of a team."""
    folder = tmp_path_factory.mktemp("ark")
    lines = [f"240.0.{number}.0/24,icmp,1,32,1" for number in range(TARGETS)]
    manifests = write_manifests(
        folder / "m", lines, 3, TRACES, agents=[TEAM], outputs=["ark"]
    )
    documents = list(yaml.safe_load_all(manifests.read_text()))
    for document in documents:
        if document["kind"] == "Measurement":
            document["kind"] = "Survey"
            document["spec"] = {
                "continuous": True,
                "measurementTemplate": {"spec": document["spec"]},
            }
        if document["kind"] == "Agent":
            document["spec"]["maxProbingRate"] = 100
    manifests.write_text(yaml.safe_dump_all(documents))
    words = command(manifests, folder / "data", "--cycles", "2")
    WORLD.run(*words, seconds=300)
    return folder / "data"


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def write(data: Path, output: Path, cycle: str = SURVEY) -> list[Path]:
    """The files of a cycle, but for the checksums."""
    with anabranch.open(data, cycle).open_results() as results:
        put_ark(results, output, results.scratch)
    return sorted(output.rglob("*.warts.gz"))


def analyse(file: Path) -> list[list[str]]:
    """The fields of each trace, as sc_analysis_dump tells them."""
    told = _read("sc_analysis_dump", file).splitlines()
    return [line.split("\t") for line in told if not line.startswith("#")]


def tell(file: Path) -> list[dict[str, Any]]:
    """The records of a file, as sc_warts2json tells them."""
    return [json.loads(line) for line in _read("sc_warts2json", file).splitlines()]


def _read(program: str, file: Path) -> str:
    plain = file.with_suffix("")
    plain.write_bytes(gzip.decompress(file.read_bytes()))
    done = subprocess.run([program, plain], capture_output=True, text=True, check=True)
    plain.unlink()
    return done.stdout


def read_senders(data: Path) -> dict[str, str]:
    """Who traced each destination to which something was sent, by the parts."""
    senders: dict[str, str] = {}
    for part in sorted((data / KEYS.root).rglob("replies/*/*.parquet")):
        table = pq.ParquetFile(part).read()
        head = json.loads(table.schema.metadata[b"anabranch.part"])
        for row in table.filter(pc.field("attempt") > 0).to_pylist():
            octets = row["probe_dst_addr"][-4:]
            senders[".".join(map(str, octets))] = head["sender"]
    assert len(senders) == TARGETS
    return senders


def find_addresses(data: Path) -> dict[str, str]:
    """The address that each agent sent from, by the replies."""
    found = {}
    for part in (data / KEYS.root).rglob("replies/*/*.parquet"):
        table = pq.ParquetFile(part).read()
        head = json.loads(table.schema.metadata[b"anabranch.part"])
        octets = table["probe_src_addr"][0].as_py()[-4:]
        found[head["sender"]] = ".".join(map(str, octets))
    return found


def test_each_monitor_has_its_own_traces(data: Path, tmp_path: Path) -> None:
    """Each target is in one file, with the right list, cycle, address and time."""
    files = write(data, tmp_path / "out")
    senders, addresses = read_senders(data), find_addresses(data)
    assert len(set(addresses.values())) == 3
    traced = Counter[str]()
    for file in files:
        match = NAME.fullmatch(file.name)
        assert match
        monitor, day = match.groups()
        rows = analyse(file)
        assert rows
        for kind, source, destination, of_list, cycle, time, *_ in rows:
            assert (kind, of_list, cycle) == ("T", "2", "2")
            assert source == addresses[monitor]
            assert senders[destination] == monitor
            assert datetime.fromtimestamp(int(time), UTC).strftime("%Y%m%d") == day
        traced.update(row[2] for row in rows)
        first, *_, last = tell(file)
        assert (first["type"], last["type"]) == ("cycle-start", "cycle-stop")
        assert (first["list_name"], first["id"]) == ("team-2", 2)
        assert first["hostname"] == monitor
        times = [int(row[5]) for row in rows]
        assert first["start_time"] <= min(times) <= max(times) <= last["stop_time"]
    assert traced == Counter(senders.keys())
    start = datetime.fromtimestamp(first["start_time"], UTC)
    assert {file.parent for file in files} == {
        tmp_path / "out" / f"team-2/{start:%Y}/cycle-{start:%Y%m%d}"
    }


def test_checksums_are_those_of_the_files(data: Path, tmp_path: Path) -> None:
    """In the form that md5sum checks; here by the command."""
    words = ("results", SURVEY, "--data", str(data), "--format", "ark")
    done = subprocess.run(
        [sys.executable, "-m", "anabranch", *words, "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    files = sorted((tmp_path / "out").rglob("*.warts.gz"))
    (sums,) = (tmp_path / "out").rglob("md5.md5")
    assert sums.parent == files[0].parent
    names = [line.split("  ")[1] for line in sums.read_text().splitlines()]
    assert names == [file.name for file in files]
    subprocess.run(["md5sum", "--check", sums.name], cwd=sums.parent, check=True)


def test_the_example_is_a_survey_as_arks(tmp_path: Path) -> None:
    """Each routed /24 is in the file of one of its five monitors."""
    data, out = tmp_path / "data", tmp_path / "out"
    world = World(32, 0, vantage_points=5, switches=ANSWERING)
    world.run(*command(EXAMPLES / "survey-ark.yaml", data))
    files = write(data, out, "ark-000001")
    assert len(files) == 5
    traced = Counter[str]()
    for file in files:
        assert re.fullmatch(r"\w+\.team-probing\.c000001\.\d{8}\.warts\.gz", file.name)
        traced.update(".".join(row[2].split(".")[:3]) for row in analyse(file))
    assert traced == Counter(f"240.0.{number}" for number in range(32))


def test_traces_of_two_days_are_in_two_files(own: Path, tmp_path: Path) -> None:
    """By when they began, also within one part; the folder has the day of the start."""
    (start,) = {file.parent for file in write(own, tmp_path / "before")}
    moved = 0
    for part in (own / KEYS.root).rglob("replies/*/*.parquet"):
        table = pq.ParquetFile(part).read()
        odd = pc.bit_wise_and(table["prefix_index"], pa.scalar(1, pa.uint32()))
        shift = pc.multiply(odd.cast(pa.uint64()), pa.scalar(DAY_US, pa.uint64()))
        for name in ("sent_us", "capture_time_us", "trace_began_us", "trace_ended_us"):
            place = table.schema.get_field_index(name)
            later = pc.add(table[name], shift)
            table = table.set_column(place, table.schema.field(name), later)
        part.unlink()
        pq.write_table(table, part)
        moved += pc.sum(shift).as_py() > 0
    assert moved
    files = write(own, tmp_path / "out")
    assert len(files) > 3
    (folder,) = {file.parent for file in files}
    assert folder.relative_to(tmp_path / "out") == start.relative_to(
        tmp_path / "before"
    )
    traced = Counter[str]()
    for file in files:
        rows = analyse(file)
        days = {
            datetime.fromtimestamp(int(row[5]), UTC).strftime("%Y%m%d") for row in rows
        }
        match = NAME.fullmatch(file.name)
        assert match
        assert days == {match[2]}
        traced.update(row[2] for row in rows)
    assert traced == Counter(read_senders(own).keys())


def test_a_cycle_that_goes_on_has_a_file_for_each_hour(
    own: Path, tmp_path: Path
) -> None:
    """Of what is there so far; no file says that the cycle has stopped."""
    (own / KEYS.root / "001-00" / "outcome.json").unlink()
    parts = sorted((own / KEYS.root).rglob("replies/*/*.parquet"))
    parts[-1].unlink()
    files = write(own, tmp_path / "out")
    traced = Counter[str]()
    for file in files:
        match = NAME.fullmatch(file.name)
        assert match
        first, *traces = tell(file)
        assert first["type"] == "cycle-start"
        assert {each["type"] for each in traces} == {"trace"}
        for each in traces:
            began = datetime.fromtimestamp(each["start"]["sec"], UTC)
            assert began.strftime("%Y%m%d.%H") == match[2]
        traced.update(each["dst"] for each in traces)
    assert 0 < traced.total() == len(traced) < TARGETS


def test_the_results_job_stores_the_same_files(
    data: Path, tmp_path: Path, s3: S3
) -> None:
    """Below the folder of the format, which the summary names."""
    files = {file.name: file.read_bytes() for file in write(data, tmp_path / "out")}
    store, local = S3Store(s3.bucket, endpoint_url=s3.url), DirectoryStore(data)
    for key in local.list(KEYS.root):
        store.put_file(key, data / key)
    record = RunRecord.model_validate_json(store.get(KEYS.run))
    keys = SurveyKeys(KEYS.measurement, KEYS.run_id)
    roster = Roster(
        uid=record.uid,
        measurement=record.measurement,
        policy=record.policy,
        lists={"list": record.target_list},
        members=tuple(Member(entry="team-2", agent=a) for a in record.members),
    )
    store.put(keys.roster, roster.write())
    (tmp_path / "scratch").mkdir()
    with open_warehouse({}) as warehouse:
        found = gather(store, warehouse, keys, ["team-2"], tmp_path / "scratch")
    assert found.outputs == ("ark",)
    stored = {
        key.rpartition("/")[2]: store.get(key)
        for key in store.list(f"{keys.output('ark')}/team-2")
    }
    assert stored.pop("md5.md5")
    assert stored == files
    assert not list((tmp_path / "scratch").glob("*.warts.gz"))
