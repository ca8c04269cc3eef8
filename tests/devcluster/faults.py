"""Faults on demand, each for as long as a ``with`` lasts."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.controlplane import API_SERVER
from devcluster.layout import API_PORT
from devcluster.network import BRIDGE, reset_delay, set_link
from devcluster.process import run_program, run_tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devcluster.cluster import Cluster
    from devcluster.machine import Machine

_DELAY_PROGRAM = Path(__file__).with_name("delay.py")
_DELAY_PORT = 6444
_READY_SECONDS = 60.0
# Connections that are there are reset, so that all go by the delay; the second rule
# meets no others, since those that are redirected have the other port by then.
_DELAY = f"""
table inet delay {{
    chain take_detour {{
        type nat hook prerouting priority dstnat
        iifname "{BRIDGE}" tcp dport {API_PORT} redirect to :{_DELAY_PORT}
    }}
    chain cut_off {{
        type filter hook input priority filter
        iifname "{BRIDGE}" tcp dport {API_PORT} reject with tcp reset
    }}
}}
"""


@contextlib.contextmanager
def stop_service(machine: Machine, service: str) -> Iterator[None]:
    """Without a service of a machine, such as a node's kubelet."""
    machine.stop_service(service)
    try:
        yield
    finally:
        machine.start_service(service)


@contextlib.contextmanager
def stop_api(cluster: Cluster) -> Iterator[None]:
    """Without an API server; all that run go on."""
    with stop_service(cluster.control_plane, API_SERVER):
        yield
    wait_until("the API server", cluster.serves_api, _READY_SECONDS)


@contextlib.contextmanager
def delay_api(cluster: Cluster, seconds: float) -> Iterator[None]:
    """With an API server that hears everything later by a time, and is heard so.

    It concerns nodes and this machine. Connections that there are break off.
    """
    control_plane = cluster.layout.control_plane
    log = cluster.layout.folder / "delay.log"
    enter = ["nsenter", f"--net={control_plane.netns}"]
    listen, target = (
        f"{control_plane.address}:{port}" for port in (_DELAY_PORT, API_PORT)
    )
    program = [sys.executable, str(_DELAY_PROGRAM), listen, target, str(seconds)]
    with run_program([*enter, *program], log):
        wait_until("the delay", lambda: "listening" in log.read_text(), _READY_SECONDS)
        run_tool(*enter, "nft", "--file", "-", stdin=_DELAY)
        try:
            yield
        finally:
            reset_delay(cluster.layout)


@contextlib.contextmanager
def unplug(cluster: Cluster, machine: Machine) -> Iterator[None]:
    """With a node that is cut off from the others, but not from the Internet."""
    set_link(cluster.layout, machine.member, up=False)
    try:
        yield
    finally:
        set_link(cluster.layout, machine.member, up=True)


@contextlib.contextmanager
def switch_off(cluster: Cluster, machine: Machine) -> Iterator[None]:
    """With a machine whose power is cut."""
    machine.switch_off()
    try:
        yield
    finally:
        cluster.start()


def kill_container(machine: Machine, container_id: str) -> None:
    """Kills a container of a node, by the id in its pod's status."""
    name = container_id.removeprefix("containerd://")
    kill = ("ctr", "--namespace=k8s.io", "task", "kill", "--signal=SIGKILL", name)
    run_tool(*machine.enter(*kill))
