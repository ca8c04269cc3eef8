"""Processes that outlive who starts them, and that are found again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_END_SECONDS = 30.0


@dataclass(frozen=True)
class Daemon:
    """A process that is known by a file."""

    file: Path
    """Says the process id, when the process started, and in which boot: a process id
    that was given again is not taken for it."""

    def start(self, command: list[str], log: Path) -> None:
        """Starts it, with its output at the end of a file, unless it runs."""
        if self.find_pid() is not None:
            return
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        new = self.file.with_suffix(".new")
        new.write_text(f"{pid} {_start_of(pid)} {_BOOT.read_text()}")
        new.rename(self.file)

    def find_pid(self) -> int | None:
        """Its process id, while it runs."""
        try:
            pid, start, boot = self.file.read_text().split()
        except FileNotFoundError:
            return None
        same_boot = boot == _BOOT.read_text().strip()
        return int(pid) if same_boot and _start_of(int(pid)) == start else None

    def kill(self) -> None:
        """Ends it at once, and waits for that."""
        pid = self.find_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        wait_until(
            f"process {pid} to end", lambda: self.find_pid() is None, _END_SECONDS
        )
        with contextlib.suppress(ChildProcessError):  # another process's child
            os.waitpid(pid, 0)


def find_descendants(pids: Collection[int]) -> set[int]:
    """Processes, their children, the children of these, and so on."""
    children = defaultdict(list)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = (process / "stat").read_text()
            parent = int(stat.rpartition(")")[2].split()[1])
            children[parent].append(int(process.name))
    found: set[int] = set()
    waiting = [*pids]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children[pid]
    return found


def _start_of(pid: int) -> str | None:
    """When a process started, in ticks since boot; none if it has ended.

    One that ended stays listed until its parent asks, which may never be.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
