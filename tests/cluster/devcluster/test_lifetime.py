"""A cluster starts however the one before ended, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcluster.cgroups import find_groups
from devcluster.cluster import Cluster
from devcluster.layout import Layout
from devcluster.process import run_tool, wait_until
from devcluster.sysctls import CHANGED

FREE = 93
"""The number of a cluster that there is not."""
ENDED_SECONDS = 20.0
FOLDER = Path(__file__).parents[2]


def look_around(other: Cluster) -> dict[str, object]:
    """What a cluster could leave on this machine, beside another one that runs."""
    others, programs = other.find_processes(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            program = (process / "cmdline").read_bytes().split(b"\0")[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        name = Path(os.fsdecode(program)).name
        if state not in "ZX" and name in PROGRAMS and int(process.name) not in others:
            programs.append(name)
    return {
        "links": run_tool("ip", "-brief", "link"),
        "routes": run_tool("ip", "route"),
        "rules": run_tool("nft", "list", "ruleset"),
        "namespaces": sorted(Path("/run/netns").glob("*")),
        "mounts": Path("/proc/self/mounts").read_text(),
        # Groups within groups are of whom the outer ones are of.
        "groups": find_groups("*"),
        "programs": sorted(programs),
        "settings": [Path("/proc/sys", name).read_text() for name in CHANGED],
    }


PROGRAMS = ("kube", "containerd", "containerd-shim-runc-v2", "pause", "unshare", "runc")


def run_command(cluster: Cluster, *words: str) -> subprocess.Popen[bytes]:
    """The command that developers use."""
    number = str(cluster.layout.number)
    command = [sys.executable, "-m", "devcluster", "--number", number, *words]
    return subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL)


def test_two_clusters_stand_side_by_side_and_leave_nothing(
    cluster: Cluster, alone: Cluster
) -> None:
    """Starting and stopping twice is as good as once, and the other one stays."""
    before = look_around(cluster)
    for _ in range(2):
        assert run_command(alone, "start", "--nodes", "1").wait() == 0
    assert len(alone.kubectl.get("nodes")["items"]) == 1
    assert len(cluster.kubectl.get("nodes")["items"]) == 2
    assert look_around(cluster) != before
    for _ in range(2):
        assert run_command(alone, "stop").wait() == 0
    wait_until(
        "all to be as before", lambda: look_around(cluster) == before, ENDED_SECONDS
    )
    assert not alone.layout.folder.exists()
    assert len(cluster.kubectl.get("nodes")["items"]) == 2


def test_a_start_that_was_killed_is_gone_on_with(alone: Cluster) -> None:
    """However far it was, and however often that happens."""
    for seconds in (0.3, 1.0, 2.5, 5.0):
        starting = run_command(alone, "start", "--nodes", "1")
        time.sleep(seconds)
        starting.send_signal(signal.SIGKILL)
        starting.wait()
    alone.start()
    assert len(alone.kubectl.get("nodes")["items"]) == 1


def test_what_a_reboot_leaves_is_started_again(alone: Cluster) -> None:
    """Files stay and all else is gone: objects are there again, and pods run."""
    alone.start()
    alone.kubectl.run("create", "configmap", "kept")
    for machine in alone.machines:
        machine.switch_off()
    alone.simulator.kill()
    for member in alone.layout.members:
        run_tool("ip", "netns", "delete", member.unique_name)
    for file in alone.layout.folder.glob("*.pid"):
        pid, start, _ = file.read_text().split()
        file.write_text(f"{pid} {start} another-boot\n")
    alone.start()
    alone.kubectl.get("configmap", "kept")


def test_another_size_is_refused(cluster: Cluster) -> None:
    """With what to do about it."""
    larger = Layout(cluster.layout.number, size=cluster.layout.size + 1)
    with pytest.raises(RuntimeError, match=r"has \d nodes: stop it first"):
        Cluster(larger).start()


def test_addresses_in_use_are_refused(alone: Cluster) -> None:
    """A link of this machine that has them is named."""
    run_tool("ip", "link", "add", "taken0", "type", "bridge")
    try:
        run_tool(
            "ip", "address", "add", f"10.78.{alone.layout.number}.9/24", "dev", "taken0"
        )
        run_tool("ip", "link", "set", "taken0", "up")
        with pytest.raises(RuntimeError, match=r"in use here .*taken0.*another number"):
            alone.start()
    finally:
        run_tool("ip", "link", "delete", "taken0")


SHARE_NAMES = f"""
from pathlib import Path
from devcluster.layout import Layout
from devcluster.network import find_namespaces, make_network, remove_network
from devcluster.process import run_tool

make_network(Layout({FREE}, size=1))
for what in ("add", "delete"):
    run_tool("ip", "netns", what, "another")
assert len(find_namespaces({FREE})) == 2
remove_network({FREE})
assert not find_namespaces({FREE})
assert "/run/netns/ab{FREE}-" not in Path("/proc/self/mountinfo").read_text()
"""


def test_namespaces_of_others_are_no_hindrance() -> None:
    """The first that ``ip netns`` makes puts a mount over those that there are.

    This happens among mounts that nothing else has.
    """
    alone = ("unshare", "--mount", "--propagation=private")
    subprocess.run([*alone, sys.executable, "-c", SHARE_NAMES], cwd=FOLDER, check=True)
