"""Which runs go from a store by age and size; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from anabranch.runs.stock import StoredRun

READING = timedelta(days=1)
"""How long a run stays after its end, whatever it takes."""
_AGE = re.compile(r"([1-9][0-9]{0,4})([dw])")
_DAYS = {"d": 1, "w": 7}
_SIZE = re.compile(r"([1-9][0-9]{0,11}(?:\.[0-9]{1,3})?)(k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?")
_FACTORS: dict[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTP", 1)},
}


@dataclass(frozen=True)
class Retention:
    """What a store keeps; all by default."""

    older_than: timedelta | None = None
    """The age from which on a run goes."""
    keep_size: int | None = None
    """The bytes that all runs may take together."""


@dataclass(frozen=True)
class Removal:
    """A run that goes, and why."""

    run: StoredRun
    reason: str


def read_age(text: str) -> timedelta:
    """Read an age in days or weeks.

    It is no shorter, since a run may well put nothing for some hours.

    Raises:
        ValueError: If it is none.
    """
    if not (found := _AGE.fullmatch(text)):
        raise ValueError(
            f"{text!r} is no age; write a whole number of days or weeks, such as 90d "
            "or 52w"
        )
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def read_size(text: str) -> int:
    """Read a number of bytes as Kubernetes writes it.

    Raises:
        ValueError: If it is none, or below one.
    """
    if not (found := _SIZE.fullmatch(text)):
        raise ValueError(
            f"{text!r} is no size; write bytes, or a number with k, M, G, T, P, Ki, "
            "Mi, Gi, Ti or Pi, such as 500Gi"
        )
    return int(Fraction(found[1]) * _FACTORS[found[2] or ""])


def choose(
    runs: Iterable[StoredRun], kept: Retention, now: datetime
) -> Iterator[Removal]:
    """Yield the runs that go, those whose removal has begun first, then the oldest.

    A cycle of a cluster's Survey stays: the Survey's own retention is for it. A run
    that has not ended stays too, unless its newest object is as old as a run may be;
    and one that has just ended, since somebody waits for it.
    """
    found = list(runs)
    left = sum(run.size for run in found)
    for run in found:
        if run.is_going:
            left -= run.size
            yield Removal(run, "removal has begun")
    free = [run for run in found if not run.is_going and run.survey is None]
    for since, run in sorted(_date(free), key=itemgetter(0)):
        if kept.older_than is not None and now - since > kept.older_than:
            days = (now - since).days
            reason = f"ended {days} days ago" if run.ended else f"still for {days} days"
        elif (
            kept.keep_size is not None and left > kept.keep_size and _is_read(run, now)
        ):
            reason = "the oldest of too many bytes"
        else:
            continue
        left -= run.size
        yield Removal(run, reason)


def _is_read(run: StoredRun, now: datetime) -> bool:
    """Return whether a run has ended so long ago that who waited for it has read it."""
    return run.ended is not None and now - run.ended > READING


def _date(runs: Iterable[StoredRun]) -> Iterator[tuple[datetime, StoredRun]]:
    """Yield since when each run has not changed."""
    for run in runs:
        if since := run.ended or run.newest:
            yield since, run
