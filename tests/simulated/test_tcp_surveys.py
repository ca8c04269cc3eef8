"""Surveys over TCP: what is sent, what answers, and what is believed."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from anabranch.local.score import tell
from onesurvey import judge, read_links
from parts import (
    RESET,
    RESET_WITH_ACK,
    SYN_ACK,
    find_replies,
    predict_replies,
    read_parts,
)
from proberruns import FLOWS, TTLS, capture, dissect, lines, probe
from probing import SPORT, command, write_plan
from surveying import survey, write_manifests
from world import World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("protocol", "open_ports", "answers"),
    [
        ("tcpSyn", 1, {SYN_ACK}),
        ("tcpSyn", 0, {RESET_WITH_ACK}),
        ("tcpAck", 0, {RESET}),
    ],
)
def test_replies_are_exactly_those_that_the_truth_predicts(
    protocol: str, open_ports: int, answers: set[int], tmp_path: Path
) -> None:
    """In both families, from two vantage points at once, one behind translation."""
    switches = {"hosts": 0.5, "open-ports": float(open_ports)}
    world = World(100, 100, vantage_points=2, switches=switches)
    targets = lines(100, protocol) + lines(100, protocol, v6=True)
    plan = write_plan(tmp_path / "plan.parquet", targets)
    folders = [tmp_path / "vp1", tmp_path / "vp2"]
    commands = [
        command(plan, folder, order=folder.name, rate=4_000) for folder in folders
    ]
    for statistics in probe(world, *commands):
        assert statistics["sent"] == 2 * 100 * TTLS * FLOWS
        assert statistics["forged"] == statistics["unplanned"] == 0
    for vantage_point, folder in enumerate(folders):
        predicted = predict_replies(world.simulation, plan, vantage_point)
        assert find_replies(folder) == predicted
        rows = [row for row in read_parts(folder) if row["reply_protocol"] == 6]
        assert {row["reply_icmp_type"] for row in rows} == answers
        assert all(row["reply_src_addr"] == row["probe_dst_addr"] for row in rows)
        assert {row["probe_dst_port"] for row in rows} == {80}
        assert len({row["probe_ttl"] for row in rows}) > 1


def test_no_syn_goes_to_what_is_forbidden(tmp_path: Path) -> None:
    """Nor with a TTL beyond the limits; all else is a right SYN to port 80."""
    plan = write_plan(tmp_path / "plan.parquet", lines(100, "tcpSyn"))
    words = command(
        *(plan, tmp_path / "parts"),
        forbidden=["240.0.7.0/24", "240.0.32.0/19"],
        max_ttl=10,
        rate=4_000,
    )
    file = tmp_path / "sent.pcap"
    statistics = capture(World(100, 0), words, file)
    assert statistics["sent"] + statistics["forbidden"] == 100 * TTLS * FLOWS
    fields = ("ip.dst", "ip.ttl", "tcp.flags", "tcp.dstport", "tcp.checksum.status")
    # The kernel resets what answers it, which is no probe.
    sent = dissect(file, "tcp.flags.reset == 0", *fields)
    assert len(sent) == statistics["sent"]
    nets = {int(to.split(".")[2]) for to, *_ in sent}
    assert nets == set(range(100)) - {7} - set(range(32, 64))
    assert {int(ttl) for _, ttl, *_ in sent} == set(range(1, 11))
    assert {tuple(rest) for _, _, *rest in sent} == {("0x0002", "80", "1")}


def test_a_survey_finds_exactly_what_its_rule_finds_in_process(tmp_path: Path) -> None:
    """Diamond-Miner by SYNs, with load balancers that hash ports."""
    world = World(48, 24)
    targets = ["240.0.0.0/19,tcpSyn,1,32,6", "240.0.32.0/20,udp,1,32,6"]
    targets += ["3fff::/60,tcpSyn,1,32,6"]
    manifests = write_manifests(tmp_path / "manifests", targets, failureProbability=0.3)
    survey(world, manifests, tmp_path / "data")
    found = {
        (tell(near), tell(far))
        for near, far in read_links(tmp_path / "data", tmp_path / "links.csv")
    }
    its = judge(world, manifests)
    (assignment,) = its.assignments
    links = its.rehearse_one(assignment, tmp_path).links
    assert found == links
    assert its.judge(found).precision == 1


FORGER = """
import fcntl, os, random, select, struct, subprocess, sys
tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH", b"tun7", 0x1001))
for words in ("link set tun7 up", "address add 192.0.2.1/32 dev tun7",
              "route replace 240.9.0.0/16 dev tun7 src 192.0.2.1"):
    subprocess.run(["ip", *words.split()], check=True)

def add(*parts):
    total = sum(sum(struct.unpack(f"!{len(part) // 2}H", part)) for part in parts)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total

def answer(source, own, ports, number):
    number &= 0xFFFFFFFF
    segment = struct.pack("!HHIIBBHHH", *ports, 0, number, 0x50, 20, 0, 0, 0)
    total = add(source, own, struct.pack("!HH", 6, len(segment)), segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 60, 6, 0, source, own)
    head = head[:10] + struct.pack("!H", add(head)) + head[12:]
    os.write(tunnel, head + segment)

chance = random.Random(3)
prober = subprocess.Popen(sys.argv[1:])
while prober.poll() is None:
    if select.select([tunnel], [], [], 0.1)[0]:
        packet = os.read(tunnel, 2000)
        if packet[0] >> 4 != 4 or packet[33] != 2:
            continue  # the kernel looks for neighbours
        own, source = packet[12:16], packet[16:20]
        port, to, number = struct.unpack("!HHI", packet[20:28])
        if source[3] & 1:
            answer(source, own, (to, port), number + 1)
            continue
        # Another tag, a port that probes do not go to, and ports that they do not
        # come from.
        answer(source, own, (to, port), number + 1 ^ chance.randrange(1, 256) << 24)
        answer(source, own, (to + 1, port), number + 1)
        answer(source, own, (to, port - 1), number + 1)
        answer(source, own, (to, port + 1), number + 1)
assert prober.returncode == 0
"""


def test_forged_answers_are_refused(tmp_path: Path) -> None:
    """A wrong tag is foreign traffic, and other ports do not even come in."""
    plan = write_plan(tmp_path / "plan.parquet", ["240.9.0.0/24,tcpSyn,1,20,50"])
    words = command(plan, tmp_path / "parts", max_rate_per_prefix=1_000)
    statistics = json.loads(World(10, 0).run("python3", "-c", FORGER, *words))
    drawn = plan.draw(0, order="")
    right = sum(destination.packed[3] & 1 for _, destination, *_ in drawn)
    assert statistics["sent"] == len(drawn) == 20 * 50
    assert statistics["replies"] == right
    assert statistics["foreign"] == len(drawn) - right
    assert statistics["forged"] == statistics["unplanned"] == 0
    rows = read_parts(tmp_path / "parts")
    assert {row["probe_src_port"] for row in rows} == {SPORT}
    assert Counter(row["probe_ttl"] for row in rows) == dict.fromkeys(
        range(1, 21), right // 20
    )
