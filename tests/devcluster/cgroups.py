"""Control groups: one for all that a machine's pods use."""

from __future__ import annotations

import contextlib
import errno
import os
from functools import partial
from pathlib import Path

from devcluster.process import wait_until

ROOT = Path("/sys/fs/cgroup")
_EMPTY_SECONDS = 30.0
_PERIOD_US = 100_000
"""The period in which the kernel counts a group's use of processors: its default."""
_CPUSET = ("cpuset.cpus", "cpuset.mems")


def make_group(name: str) -> None:
    """Makes a group in each hierarchy, as kubelet wants to find it."""
    for hierarchy in _find_hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            # A new group of version 1 has none of either, and can have no process.
            for file in _CPUSET:
                (group / file).write_text((hierarchy / file).read_text())


def limit_group(name: str, *, processors: float, memory_bytes: int) -> None:
    """Limit what a group's processes use together."""
    quota = round(processors * _PERIOD_US)
    if (ROOT / "cgroup.controllers").exists():
        limits = {
            ROOT / name / "cpu.max": f"{quota} {_PERIOD_US}",
            ROOT / name / "memory.max": str(memory_bytes),
        }
    else:
        limits = {
            ROOT / "cpu" / name / "cpu.cfs_period_us": str(_PERIOD_US),
            ROOT / "cpu" / name / "cpu.cfs_quota_us": str(quota),
            ROOT / "memory" / name / "memory.limit_in_bytes": str(memory_bytes),
        }
    for file, limit in limits.items():
        file.write_text(limit)


def join_group(name: str) -> None:
    """Move this process into a group, in each hierarchy."""
    for hierarchy in _find_hierarchies():
        (hierarchy / name / "cgroup.procs").write_text(str(os.getpid()))


def remove_group(name: str) -> None:
    """Removes a group and those in it, once their processes have ended."""
    for hierarchy in _find_all():
        tree = os.walk(hierarchy / name, topdown=False)
        for group in [Path(folder) for folder, _, _ in tree]:
            wait_until(f"{group} to be empty", partial(_remove, group), _EMPTY_SECONDS)


def find_groups(pattern: str) -> list[str]:
    """The names of groups that match a pattern, in any hierarchy."""
    groups = (each for hierarchy in _find_all() for each in hierarchy.glob(pattern))
    return sorted({group.name for group in groups if group.is_dir()})


def _find_hierarchies() -> list[Path]:
    """All of version 1 but the one without controllers, or the one of version 2."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return sorted(each for each in ROOT.iterdir() if (each / "tasks").exists())


def _find_all() -> list[Path]:
    """Version 2 beside version 1 too: it has no controllers, but runc makes groups."""
    return [*_find_hierarchies(), ROOT / "unified"]


def _remove(group: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        try:
            group.rmdir()
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise
    return True
