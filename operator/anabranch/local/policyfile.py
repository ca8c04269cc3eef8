"""The current ProbingPolicy of a run, as its files have it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.api import ProbingPolicy
from anabranch.api.manifest import Source, read_manifests
from anabranch.api.policy import POLICY_NAME
from anabranch.local.manifest import find_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anabranch.api.manifest import Manifests
    from anabranch.api.policy import ProbingPolicySpec

    Stamps = dict[Path, tuple[int, int]]


def find_policy(manifests: Manifests) -> ProbingPolicySpec | None:
    """Return the policy of manifests; None if they have none."""
    policies = (each.object for each in manifests.of_kind(ProbingPolicy))
    named = (each.spec for each in policies if each.metadata.name == POLICY_NAME)
    return next(named, None)


@dataclass
class PolicyFiles:
    """The files that may hold the policy; standard input is read only once."""

    names: list[str]
    policy: ProbingPolicySpec | None
    """The policy as it was last read; None when no file has one any more."""
    tell: Callable[[str], None]
    """Called with a message when a change is ignored, or when it ends all sending."""
    _seen: Stamps = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._find_stamps()

    def look(self) -> ProbingPolicySpec | None:
        """Return the current policy; a file with errors leaves the last in force."""
        stamps = self._find_stamps()
        if stamps == self._seen or "-" in self.names:
            return self.policy
        self._seen = stamps
        try:
            sources = [Source(str(file), file.read_bytes()) for file in stamps]
        except OSError as error:
            self.tell(f"can't read the policy again: {error}; the last one counts")
            return self.policy
        manifests = read_manifests(sources)
        if manifests.broken:
            self.tell(f"{manifests.broken[0]}; the last policy counts")
            return self.policy
        self.policy = find_policy(manifests)
        if self.policy is None:
            self.tell("there is no ProbingPolicy any more: nothing is sent without one")
        elif self.policy.stop:
            self.tell(
                "the ProbingPolicy stops all probing; it goes on without its stop"
            )
        return self.policy

    def _find_stamps(self) -> Stamps:
        """Return the modification time of each file in nanoseconds, and its size."""
        return {
            file: (status.st_mtime_ns, status.st_size)
            for file in self._find_files()
            if (status := file.stat())
        }

    def _find_files(self) -> Iterator[Path]:
        for name in self.names:
            for file in find_files(name):
                if isinstance(file, Path) and file.is_file():
                    yield file
