"""An API server that is shared ends with the run that it is for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from devcluster.daemon import Daemon, find_descendants
from devcluster.process import wait_until
from sharedserver import share

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for the process of a test run."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.mark.survival
def test_all_share_one_that_ends_where_its_run_is_killed(
    tmp_path: Path, run: subprocess.Popen[bytes]
) -> None:
    """Those who ask at the same time, too; nothing of it is left."""
    folder = tmp_path / "apiserver"
    with ThreadPoolExecutor() as workers:
        one, *others = workers.map(share, [folder] * 3, [run.pid] * 3)
    assert others == [one] * 2
    keeper = Daemon(folder / "keeper").find_pid()
    assert keeper is not None
    parts = find_descendants([keeper])
    assert len(parts) > 2
    run.send_signal(signal.SIGKILL)
    wait_until("its end", lambda: not any(map(is_running, parts)), 30)


def test_there_is_none_for_a_run_that_has_ended(
    tmp_path: Path, run: subprocess.Popen[bytes]
) -> None:
    """Whoever asks is told why."""
    run.kill()
    run.wait()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"ended:\n(.*\n)*ProcessLookup"):
            share(tmp_path / "apiserver", run.pid)


def is_running(pid: int) -> bool:
    """Whether a process has not ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
