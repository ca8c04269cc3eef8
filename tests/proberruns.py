"""Probers in the simulated Internet, with what they send captured."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

from probing import DPORT

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

TTLS, FLOWS = 20, 2


def lines(
    prefixes: int, protocol: str = "udp", flows: int = FLOWS, *, v6: bool = False
) -> list[str]:
    """So many /24s, or /64s for icmp6 and where it is said."""
    if protocol == "icmp6" or v6:
        names = [f"3fff:0:0:{i:x}::/64" for i in range(prefixes)]
    else:
        names = [f"240.{i >> 8}.{i & 255}.0/24" for i in range(prefixes)]
    return [f"{name},{protocol},1,{TTLS},{flows}" for name in names]


def probe(world: World, *commands: list[str]) -> list[dict[str, int]]:
    """Runs a prober at each vantage point at once; their statistics."""
    script = " & ".join(
        f"ip netns exec vp{number} {shlex.join(words)}"
        for number, words in enumerate(commands, 1)
    )
    output = world.run("sh", "-c", f"{script} & wait")
    statistics = [json.loads(line) for line in output.splitlines()]
    assert len(statistics) == len(commands)
    return statistics


def capture(world: World, words: list[str], file: Path) -> dict[str, float]:
    """The same at the first, whose packets are captured to a file."""
    script = (
        f"tcpdump --immediate-mode -U -B 65536 -i eth0 -w {file} -Q out 2>/dev/null & "
        f"sleep 1; {shlex.join(words)}; sleep 0.3; kill %1; wait"
    )
    statistics: dict[str, float] = json.loads(world.run("bash", "-c", script))
    return statistics


def dissect(file: Path, display_filter: str, *fields: str) -> list[list[str]]:
    """The fields of the packets of a capture, as tshark has them."""
    wanted = [word for field in fields for word in ("-e", field)]
    checks = ("ip", "udp", "tcp")
    options = [word for c in checks for word in ("-o", f"{c}.check_checksum:TRUE")]
    # Else it would guess what protocol a payload is, and find it malformed.
    options += ["-d", f"udp.port=={DPORT},echo"]
    done = subprocess.run(
        [
            *("tshark", "-r", str(file), *options),
            *("-Y", display_filter, "-T", "fields", *wanted),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


TUNNEL = """
import fcntl, os, select, socket, struct, subprocess, sys, time
tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH", b"tun7", 0x1001))
for words in ("link set tun7 up", "address add 192.0.2.1/32 dev tun7",
              "route replace 240.9.0.0/16 dev tun7 src 192.0.2.1"):
    subprocess.run(["ip", *words.split()], check=True)
prober = subprocess.Popen(sys.argv[1:])
got = []
while prober.poll() is None:
    if select.select([tunnel], [], [], 0.1)[0]:
        packet = os.read(tunnel, 2000)
        if packet[0] >> 4 != 4:
            continue  # the kernel looks for IPv6 neighbours
        got.append((packet[8], packet[12:16], packet[16:18]))
        # The far end answers as a router would: 28 bytes are enough.
        error = bytes([11, 0, 0, 0, 0, 0, 0, 0]) + packet[:28]
        total = sum(struct.unpack(f"!{len(error) // 2}H", error))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        error = error[:2] + struct.pack("!H", 0xFFFF - total) + error[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(error), 0, 0, 60, 1, 0,
                           bytes([192, 0, 2, 99]), packet[12:16])
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        head = head[:10] + struct.pack("!H", 0xFFFF - total) + head[12:]
        for _ in range(REPLIES):
            os.write(tunnel, head + error)
assert prober.returncode == 0
assert {ttl for ttl, _, _ in got} == set(range(1, 21)), got
assert {source for _, source, _ in got} == {bytes([192, 0, 2, 1])}
assert {net for _, _, net in got} == {bytes([240, 9])}
"""
