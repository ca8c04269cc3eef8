"""The names of Ark's files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from anabranch.api.survey import find_cycle_number
from anabranch.formats.ark import ArkNames

START = int(datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp())


def test_files_are_named_as_those_of_ark() -> None:
    """The folder has the day of the cycle's start, a file that of its traces."""
    names = ArkNames("team-2", 42, START)
    assert names.folder == "team-2/2026/cycle-20261231"
    name = names.name("ams-nl", START + 60)
    assert name == "ams-nl.team-probing.c000042.20270101.warts.gz"


def test_files_of_an_hour_have_the_hour() -> None:
    """While a cycle goes on."""
    names = ArkNames("team-2", 1_234_567, START, by_hour=True)
    name = names.name("ams-nl", START)
    assert name == "ams-nl.team-probing.c1234567.20261231.23.warts.gz"


@pytest.mark.parametrize(
    ("team", "number"), [("team-1", 1), ("team-17", 17), ("europe", 1), ("t3.x4", 4)]
)
def test_the_list_has_the_number_of_the_team(team: str, number: int) -> None:
    """As it ends the team's name."""
    assert ArkNames(team, 1, START).list_id == number


@pytest.mark.parametrize(
    ("measurement", "number"),
    [("ark-000042", 42), ("ark-1234567", 1_234_567), ("ark-42", None), ("demo", None)],
)
def test_a_name_tells_the_cycle(measurement: str, number: int | None) -> None:
    """If it is that of a Survey's Measurement."""
    assert find_cycle_number(measurement) == number
