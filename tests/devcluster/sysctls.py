"""Settings of the whole machine that kubelet changes, and that are put back."""

from __future__ import annotations

import json
from pathlib import Path

_ROOT = Path("/proc/sys")
_BOOT = _ROOT / "kernel/random/boot_id"
# setupKernelTunables in Kubernetes' pkg/kubelet/cm/container_manager_linux.go
CHANGED = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def save_sysctls(file: Path) -> None:
    """Writes them to a file, unless it has those of this boot."""
    boot = _BOOT.read_text()
    if file.exists() and json.loads(file.read_text())["boot"] == boot:
        return
    values = {name: (_ROOT / name).read_text() for name in CHANGED}
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"boot": boot, "values": values}))
    new.rename(file)


def restore_sysctls(file: Path) -> None:
    """Puts them back as a file has them, if it is of this boot, and removes it."""
    if not file.exists():
        return
    saved = json.loads(file.read_text())
    if saved["boot"] == _BOOT.read_text():
        for name, value in saved["values"].items():
            (_ROOT / name).write_text(value)
    file.unlink()
