"""An API server with our kinds, which all workers of a test run share.

A process of its own keeps it: no worker that ends or crashes takes it from the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import KINDS
from anabranch.api.schema import build_crd
from devcluster.apiserver import START_SECONDS, ApiServer, run_apiserver
from devcluster.daemon import Daemon
from devcluster.namespace import Namespace
from devcluster.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_ESTABLISHED_SECONDS = 30.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ADDRESS = "address.json"


def share(folder: Path, run: int) -> ApiServer:
    """The API server of a test run, which the first one who asks starts.

    It ends with the process ``run``, however that ends. All who share it name the same
    folder.

    Raises:
        RuntimeError: With its log, when it does not start, or is there no more.
    """
    folder.mkdir(exist_ok=True)
    address, log = folder / _ADDRESS, folder / "keeper.log"
    keeper = Daemon(folder / "keeper")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not keeper.file.exists():
            keeper.start([sys.executable, __file__, str(folder), str(run)], log)
        wait_until(
            "the API server",
            lambda: address.exists() or keeper.find_pid() is None,
            START_SECONDS + _ESTABLISHED_SECONDS,
        )
    if keeper.find_pid() is None:
        raise RuntimeError(f"the API server has ended:\n{log.read_text()[-2000:]}")
    told = json.loads(address.read_text())
    return ApiServer(told["url"], Path(told["certificate"]), told["token"])


@contextlib.contextmanager
def run_with_kinds(folder: Path) -> Iterator[ApiServer]:
    """Runs an API server that serves our kinds, in an empty folder."""
    with run_apiserver(folder) as server:
        cluster = Namespace(server.connect(), "default")
        for kind in KINDS:
            created = cluster.call("POST", _CRDS, build_crd(kind))
            assert created.status == 201, created.body
        paths = [cluster.path(kind.__name__) for kind in KINDS]
        wait_until(
            "the kinds",
            lambda: all(cluster.call("GET", path).status == 200 for path in paths),
            _ESTABLISHED_SECONDS,
        )
        yield server


def _keep(folder: Path, run: int) -> None:
    """Runs the API server as long as there is a process."""
    watched = os.pidfd_open(run)
    data = folder / "server"
    data.mkdir()
    with run_with_kinds(data) as server:
        told = {"url": server.url, "token": server.token}
        new = folder / f"{_ADDRESS}.new"
        new.write_text(json.dumps(told | {"certificate": str(server.certificate)}))
        new.rename(folder / _ADDRESS)
        select.select([watched], [], [])


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
