"""The status of a `Survey`: its cycles, and what comes next."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from anabranch.api.lists import Distinct
from anabranch.api.model import Model
from anabranch.api.resource import Status
from anabranch.api.text import Count, DnsSubdomain, Timestamp

MAX_ACTIVE = 20


class ActiveCycle(Model):
    """A cycle that has not ended."""

    name: DnsSubdomain
    """The name of its Measurement."""
    cycle: Count
    """The number of the cycle."""
    start_time: Timestamp | None = None
    """When its run started."""
    message: Annotated[str | None, Field(max_length=1024)] = None
    """How far it is, or what it waits for."""


class EndedCycle(Model):
    """A cycle that has ended."""

    cycle: Count
    """The number of the cycle."""
    end_time: Timestamp
    """When it ended."""
    succeeded: bool
    """Whether its run was completed, at least in part."""
    reason: Annotated[str, Field(max_length=64, pattern="^[A-Z][A-Za-z]*$")]
    """How it ended, as one word."""
    message: Annotated[str, Field(max_length=1024)]
    """How it ended, in a sentence."""


class SurveyStatus(Status):
    """The cycles so far. All of it can be derived from the store again."""

    cycle: Count | None = None
    """The number of the latest cycle."""
    last_schedule_time: Timestamp | None = None
    """The time for which the latest cycle was scheduled."""
    last_missed_time: Timestamp | None = None
    """The latest time at which a cycle should have started, and was too late."""
    next_schedule_time: Timestamp | None = None
    """When the next cycle is scheduled."""
    active: Annotated[
        tuple[ActiveCycle, ...], Field(max_length=MAX_ACTIVE), Distinct(by="cycle")
    ] = ()
    """The latest cycles that have not ended."""
    active_count: Count | None = None
    """The number of cycles that have not ended."""
    expected_end_time: Timestamp | None = None
    """When the latest cycle should end, if it takes as long as those before it."""
    last_ended: EndedCycle | None = None
    """The latest cycle that has ended."""
