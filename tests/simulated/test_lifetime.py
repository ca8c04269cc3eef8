"""A simulation leaves nothing behind, however it ends, and stands what it is sent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


MARK = "ANABRANCH_TEST_OF_LIFETIME"
OF_OTHERS = re.compile(r"\b(anabranch-\d+-|ab\d+-)")
"""Names of what other tests have there meanwhile."""


@pytest.fixture(autouse=True)
def _marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes of this test are told from others by their environment."""
    monkeypatch.setenv(MARK, str(tmp_path))


def look_around() -> dict[str, list[str]]:
    """What a simulation could leave: links, namespaces, mounts, processes."""
    links = [link.name for link in Path("/sys/class/net").iterdir()]
    folder = Path("/run/netns")
    names = [name.name for name in folder.iterdir()] if folder.exists() else []
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found = {"links": links, "names": names, "mounts": mounts}
    of_none = {
        kind: sorted(each for each in all_ if not OF_OTHERS.search(each))
        for kind, all_ in found.items()
    }
    return of_none | {"processes": sorted(find_processes())}


def find_processes() -> Iterator[str]:
    """The commands of processes that this test has started, and their children."""
    mark = f"{MARK}={os.environ[MARK]}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        # Others may not be read, and one that ends meanwhile is gone.
        with suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            if mark in (process / "environ").read_bytes():
                yield (process / "cmdline").read_bytes().decode()


def wait_until_as(before: dict[str, list[str]]) -> None:
    """The kernel takes a moment to remove what nobody has any more."""
    deadline = time.monotonic() + 120
    while look_around() != before:
        assert time.monotonic() < deadline, (before, look_around())
        time.sleep(0.1)


def test_nothing_is_left_when_the_command_ends(world: World) -> None:
    """Neither are its children that would go on."""
    before = look_around()
    world.run("sh", "-c", "sleep 1234 & ip netns exec vp1 ip link >/dev/null")
    wait_until_as(before)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_simulator_is_killed(
    world: World, how: signal.Signals, tmp_path: Path
) -> None:
    """The command and all that it started end with it."""
    before = look_around()
    ready = tmp_path / "ready"
    command = ["sh", "-c", f"sleep 1234 & touch {ready}; sleep 12345"]
    simulating = subprocess.Popen([*world.command, *command])
    deadline = time.monotonic() + 120
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert look_around() != before
    simulating.send_signal(how)
    assert simulating.wait(120) == -how
    wait_until_as(before)


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 7", 7), ("kill -9 $$", 137), ("exec /no/such/command", 127)],
)
def test_the_commands_exit_code_comes_through(
    world: World, command: str, code: int
) -> None:
    """128 and the signal where one ended it, as in a shell."""
    done = subprocess.run([*world.command, "sh", "-c", command], check=False)
    assert done.returncode == code


def test_a_command_that_is_not_there_is_told(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """By its name."""
    assert subprocess.run([*world.command, "nosuch"], check=False).returncode == 127
    assert "nosuch" in capfd.readouterr().err


def test_there_is_no_way_out(world: World) -> None:
    """Only the simulated space has routes; the command's own host is not among them."""
    routes = world.run("ip", "-o", "route").splitlines()
    assert sorted(route.split()[0] for route in routes) == [
        "198.18.0.0/15",
        "198.18.0.0/30",
        "240.0.0.0/4",
    ]
    done = subprocess.run(
        [*world.command, "ping", "-c", "1", "-W", "1", "192.0.2.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Network is unreachable" in done.stderr


def test_each_vantage_point_is_there_by_name_and_one_behind_translation() -> None:
    """The last has a private address, and sees paths that merge with the others'."""
    world = World(vantage_points=3, switches={"silent-routers": 0.0})
    hops = {}
    for name in ("vp1", "vp2", "vp3"):
        script = (
            f"ip netns exec {name} ip -o -4 address show eth0 && ip netns exec {name} "
            "traceroute -n -U -p 33434 --sport=40000 -q 1 -w 0.5 -m 12 240.0.9.7"
        )
        hops[name] = world.run("sh", "-c", script).split()
    assert any(word.startswith("198.18.1.2") for word in hops["vp2"])
    assert any(word.startswith("10.18.2.2") for word in hops["vp3"])
    assert len(set(hops["vp1"]) & set(hops["vp3"])) > 10
    octets = 40000 << 16 | 33434
    expected = world.path("240.0.9.7", octets=octets, vantage_point=2)[:12]
    assert [word for word in hops["vp3"] if word in expected] == expected


FLOOD = """
import os, random, socket
chance = random.Random(7)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
link.bind(("eth0", 0))
ethernet = bytes.fromhex("02ab72616e01" "020000000001")
kinds = [b"\\x08\\x00", b"\\x86\\xdd", b"\\x08\\x06", b"\\x88\\xcc"]
starts = [b"", b"\\x45", b"\\x4f", b"\\x60", b"\\x45\\x00\\x00\\x14"]
noise = chance.randbytes(1 << 20)
for i in range(%d):
    place, length = chance.randrange(1 << 19), chance.randrange(120)
    frame = ethernet + kinds[i & 3] + starts[i %% 5] + noise[place : place + length]
    try:
        link.send(frame)
    except OSError:
        pass  # a full queue loses, as a full link does
"""


def test_a_million_hostile_packets_do_not_stop_it(world: World) -> None:
    """Random bytes behind plausible heads; the next ping is answered."""
    script = f'python3 -c "$FLOOD" && ping -c 2 -W 5 {world.path("240.0.9.7")[0]}'
    done = subprocess.run(
        [*world.command, "sh", "-c", script],
        env=os.environ | {"FLOOD": FLOOD % 1_000_000},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 received" in done.stdout
