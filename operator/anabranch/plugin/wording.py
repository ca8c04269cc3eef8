"""Words for numbers and times in terminals; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

UNKNOWN = "-"
"""Stands where nothing is known."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_DAY_HOURS = 48


def say_duration(seconds: float | None) -> str:
    """Return a duration in its two largest units; the empty string for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _DAY_HOURS:
        days, hours = divmod(hours, 24)
        return f"{days} d {hours:02} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def say_time(moment: datetime | None, now: datetime) -> str:
    """Return a time in UTC and how far it is from now; the empty string for None."""
    if moment is None:
        return ""
    distance = (now - moment).total_seconds()
    far = say_duration(abs(distance))
    when = f"{far} ago" if distance >= 0 else f"in {far}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({when})"


def say_rate(rate: float | None) -> str:
    """Return a rate; a dash for None."""
    return UNKNOWN if rate is None else f"{rate:,.0f}/s"


def say_share(share: float | None) -> str:
    """Return a share in percent; a dash for None."""
    return UNKNOWN if share is None else f"{share:.1%}".replace("%", " %")


def draw_bar(share: float, width: int) -> str:
    """Draw a bar of some characters that is full to a share from 0 to 1."""
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def draw_history(values: Sequence[float], width: int) -> str:
    """Draw the last values as a row of blocks, the largest as a whole one."""
    shown = values[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return _BLOCKS[0] * len(shown)
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(value / most * last)] for value in shown)
