"""The steps of a run: the windows of its first round, then each further round."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_TTLS = 10
"""The number of TTLs in a window of Diamond-Miner's first round, as in Iris."""
WINDOW_STARS = 3
"""How many TTLs at a window's end may be silent on a path that goes on, as in Iris."""
MAX_TTL = 255


@dataclass(frozen=True, order=True)
class Step:
    """What an agent probes at one go: a round, or a window of the first round."""

    round: int
    """The round's number, from 1."""
    window: int = 0
    """The window's number, from 0; always 0 after the first round."""

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
        """Return the step that ``str`` wrote as this text.

        Raises:
            ValueError: If the text is not a step.
        """
        number, _, window = text.partition("-")
        if not (number.isdecimal() and window.isdecimal()):
            raise ValueError(f"{text!r} is no step; write one such as {FIRST}")
        return Step(int(number), int(window))


FIRST = Step(1)


def next_rounds(step: Step, max_rounds: int) -> list[Step]:
    """Return the windows of the first round that may follow, and then the next round.

    The first round goes up in windows of TTLs, so that it need not probe far beyond the
    end of a path.
    """
    windows = range(step.window + 1, MAX_TTL // WINDOW_TTLS + 1)
    in_round = [Step(1, window) for window in windows] if step.round == 1 else []
    return in_round + ([Step(step.round + 1)] if step.round < max_rounds else [])
