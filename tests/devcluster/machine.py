"""A machine: processes with a root, a network and process ids of their own.

Its first process is the child of one outside. When that one is killed, so is the child;
with the first process the kernel ends all others, containers and their shims too, and
with the last one go all mounts. So a machine is switched off by one signal.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.daemon import Daemon
from devcluster.process import run_tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devcluster.layout import Member

_HERE = Path(__file__).parent
_PATH = "/srv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BOOT_SECONDS = 30.0
_SERVICE_SECONDS = 30.0


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster in a folder."""

    cluster_folder: Path
    member: Member

    @property
    def folder(self) -> Path:
        """Its own files."""
        return self.cluster_folder / self.member.name

    @property
    def daemon(self) -> Daemon:
        """The process that it lives and dies with."""
        return Daemon(self.cluster_folder / f"{self.member.name}.pid")

    def boot(self, services: Mapping[str, str], kube: Path) -> None:
        """Switches it on with these services, each a shell script.

        Raises:
            RuntimeError: With its words, when it does not start.
        """
        if not self.is_running():
            self._start(services, kube)
        log = self.folder / "var" / "log" / "init.log"

        def is_up() -> bool:
            if not self.is_running():
                message = f"{self.member.unique_name} ended:\n{log.read_text()[-2000:]}"
                raise RuntimeError(message)
            pid = self._find_first()
            return pid is not None and Path(f"/proc/{pid}/root/run/booted").exists()

        wait_until(f"{self.member.unique_name} to boot", is_up, _BOOT_SECONDS)

    def _start(self, services: Mapping[str, str], kube: Path) -> None:
        for part in ("cgroup", "stopped", "var/lib", "var/log", "var/tmp"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        run = self.folder / "var" / "run"
        if not run.is_symlink():
            run.symlink_to("/run")
        scripts = self.folder / "services"
        shutil.rmtree(scripts, ignore_errors=True)
        scripts.mkdir()
        for name, script in services.items():
            (scripts / name).write_text(script)
        command = ["env", "--ignore-environment", f"PATH={_PATH}", "HOME=/root"]
        command += ["nsenter", f"--net={self.member.netns}"]
        command += ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork"]
        command += ["--kill-child=KILL", "--propagation=private"]
        command += ["bash", str(_HERE / "init.sh")]
        command += [str(self.cluster_folder), self.member.name]
        command += [self.member.unique_name, str(kube)]
        mount_point = self.cluster_folder / "bin" / "kube"
        mount_point.parent.mkdir(exist_ok=True)
        mount_point.touch()
        self.daemon.start(command, self.folder / "var" / "log" / "init.log")

    def is_running(self) -> bool:
        """Whether it is switched on."""
        return self.daemon.find_pid() is not None

    def switch_off(self) -> None:
        """Ends all that runs in it, at once, as a power cut does."""
        self.daemon.kill()

    def enter(self, *command: str) -> list[str]:
        """A command that runs another one inside.

        Raises:
            RuntimeError: When the machine is switched off.
        """
        target = self._find_first()
        if target is None:
            message = f"{self.member.unique_name} is switched off"
            raise RuntimeError(message)
        spaces = ["--mount", "--net", "--pid", "--uts", "--ipc"]
        return ["nsenter", f"--target={target}", *spaces, *command]

    def _find_first(self) -> int | None:
        """The process id outside of its first process, if there is one."""
        outside = self.daemon.find_pid()
        if outside is None:
            return None
        try:
            children = Path(f"/proc/{outside}/task/{outside}/children").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return next(map(int, children.split()), None)

    def stop_service(self, service: str) -> None:
        """Kills a service, and keeps it from coming back."""
        (self.folder / "stopped" / service).touch()
        kill = f"kill -KILL $(cat /run/{service}.pid)"
        # Between its end and its next start it has no process.
        run_tool(*self.enter("sh", "-c", f"[ ! -e /run/{service}.pid ] || {kill}"))
        wait_until(
            f"{service} to end", lambda: not self.serves(service), _SERVICE_SECONDS
        )

    def start_service(self, service: str) -> None:
        """Has a service come back."""
        (self.folder / "stopped" / service).unlink(missing_ok=True)
        wait_until(
            f"{service} to start", lambda: self.serves(service), _SERVICE_SECONDS
        )

    def serves(self, service: str) -> bool:
        """Whether a service has a process."""
        test = f"test -e /run/{service}.pid && echo yes || echo no"
        return run_tool(*self.enter("sh", "-c", test)).strip() == "yes"
