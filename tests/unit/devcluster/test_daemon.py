"""Processes are found again, and no other is taken for one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devcluster.daemon import Daemon
from devcluster.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that sleeps, with a word at the start."""
    daemon = Daemon(tmp_path / "sleeper.pid")
    daemon.start(["sh", "-c", "echo awake; exec sleep 60"], tmp_path / "sleeper.log")
    yield daemon
    daemon.kill()


def test_a_second_start_changes_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """Whoever starts it finds the one that runs."""
    log = tmp_path / "sleeper.log"
    wait_until("a word", lambda: log.read_text() == "awake\n", 10)
    pid = daemon.find_pid()
    assert pid is not None
    again = Daemon(daemon.file)
    again.start(["false"], log)
    assert again.find_pid() == pid


def test_killing_waits_for_the_end(daemon: Daemon) -> None:
    """Also where there is nothing to kill any more."""
    pid = daemon.find_pid()
    daemon.kill()
    assert daemon.find_pid() is None
    assert not Path(f"/proc/{pid}").exists()
    daemon.kill()


def test_one_that_ended_by_itself_is_gone(daemon: Daemon) -> None:
    """Even while it is listed, since nobody has asked what came of it."""
    pid = daemon.find_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until("the end", lambda: daemon.find_pid() is None, 10)
    assert Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "record", ["{pid} 1 {boot}", "{pid} {start} an-earlier-boot", "4194304 1 {boot}"]
)
def test_another_process_is_not_taken_for_it(daemon: Daemon, record: str) -> None:
    """A process id that was given again, in this boot or in a later one."""
    original = daemon.file.read_text()
    pid, start, boot = original.split()
    daemon.file.write_text(record.format(pid=pid, start=start, boot=boot))
    assert daemon.find_pid() is None
    daemon.kill()
    daemon.file.write_text(original)
    assert daemon.find_pid() == int(pid)
