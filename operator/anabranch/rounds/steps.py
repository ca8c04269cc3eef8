"""The steps of a run: the windows of its first round, then round after round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api.tool import DiamondMiner

if TYPE_CHECKING:
    from anabranch.api.tool import Tool

WINDOW_TTLS = 10
"""TTLs of a window of Diamond-Miner's first round, as Iris has it."""
WINDOW_STARS = 3
"""TTLs at the end of a window that may be silent where the path goes on, as in Iris."""
MAX_TTL = 255


@dataclass(frozen=True, order=True)
class Step:
    """What is probed at one go: a round, or a window of the first one."""

    round: int
    """From 1 on."""
    window: int = 0
    """From 0 on; 0 in all rounds but the first."""

    def __str__(self) -> str:
        return f"{self.round:03}-{self.window:02}"

    @property
    def last_window_ttl(self) -> int:
        """The highest TTL of a window of the first round."""
        return (self.window + 1) * WINDOW_TTLS

    @property
    def first_window_ttl(self) -> int:
        """The lowest TTL of a window of the first round."""
        return self.window * WINDOW_TTLS + 1

    @staticmethod
    def parse(text: str) -> Step:
        """A step from what ``str`` made of it.

        Raises:
            ValueError: When it did not make this.
        """
        number, _, window = text.partition("-")
        if not (number.isdecimal() and window.isdecimal()):
            raise ValueError(f"{text!r} is no step; write one such as {FIRST}")
        return Step(int(number), int(window))


FIRST = Step(1)


def next_steps(tool: Tool, step: Step, max_rounds: int) -> list[Step]:
    """The steps that may follow one, of which the first that has probes does.

    Diamond-Miner's first round goes up in windows: there is no need to look for what
    lies behind a path's end. Yarrp and ping have one step.
    """
    if not isinstance(tool, DiamondMiner):
        return []
    windows = range(step.window + 1, MAX_TTL // WINDOW_TTLS + 1)
    in_round = [Step(1, window) for window in windows] if step.round == 1 else []
    return in_round + ([Step(step.round + 1)] if step.round < max_rounds else [])
