"""When a cron schedule is due, in its time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from datetime import tzinfo

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)


class ScheduleError(ValueError):
    """A schedule or time zone that can't be used; the message has the remedy."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        """The field of the Survey's spec."""
        super().__init__(message)


@dataclass(frozen=True)
class Schedule:
    """A cron schedule in a time zone."""

    fields: str
    """The five fields."""
    zone: tzinfo

    @staticmethod
    def read(text: str, zone: str | None) -> Schedule:
        """Read a schedule, such as ``30 3 * * MON``; the zone is UTC by default.

        Raises:
            ScheduleError: When a range is the wrong way round, the schedule names a day
                that no year has, or there is no such zone.
        """
        try:
            where: tzinfo = ZoneInfo(zone) if zone else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"there is no time zone {zone!r}; write one such as Europe/Paris"
            raise ScheduleError("timeZone", message) from error
        schedule = Schedule(_WORDS.get(text, text), where)
        try:
            found = schedule.find_next(_SOME_DAY)
        except CronSimError as error:
            reason = str(error).replace("Bad", "a bad")
            message = f"{text!r} has {reason}; correct it"
            raise ScheduleError("schedule", message) from error
        if found is None:
            raise ScheduleError("schedule", f"{text!r} never comes; correct it")
        return schedule

    def find_next(self, after: datetime) -> datetime | None:
        """Return the first time after another one; None if it never comes."""
        found = next(CronSim(self.fields, after.astimezone(self.zone)), None)
        return found and found.astimezone(UTC)

    def find_latest(self, now: datetime) -> datetime | None:
        """Return the latest time up to now; None if it never came."""
        start = (now.replace(microsecond=0) + timedelta(seconds=1)).astimezone(UTC)
        back = CronSim(self.fields, start.astimezone(self.zone), reverse=True)
        for found in back:
            latest = found.astimezone(UTC)
            if latest <= now:
                # Where clocks are put back, a time of the first hour may lie between.
                while (later := self.find_next(latest)) and later <= now:
                    latest = later
                return latest
        return None
