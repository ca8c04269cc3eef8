"""Surveys on this machine: which cycle comes next, and what is wrong with them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import Agent, Survey
from anabranch.api.manifest import ManifestError
from anabranch.api.policy import ProbingPolicySpec
from anabranch.local.cycles import LocalCycles
from anabranch.local.manifest import load_manifests
from anabranch.runs.cycles import Ledger
from anabranch.runs.record import RunRecord
from anabranch.store.directory import DirectoryStore
from cases import merge, minimal
from observations import DIGEST, read_kind

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_survey(**spec: Any) -> Survey:
    """A survey of a manifest."""
    return Survey.read(merge(minimal("Survey"), {"spec": spec}))


def start(survey: Survey, store: DirectoryStore, number: int) -> None:
    """Leaves what a run of a cycle leaves first."""
    measurement = survey.make_measurement(number)
    record = RunRecord(
        uid=f"default.{measurement.metadata.name}",
        measurement=measurement,
        entry="paris",
        agent=read_kind(Agent, "paris", {"nodeName": "localhost"}),
        policy=ProbingPolicySpec(contact="me@here"),
        target_list=DIGEST,
    )
    store.put(record.keys.run, record.write())


def test_an_interrupted_cycle_goes_on(tmp_path: Path) -> None:
    """It has the same number until it ends; then the next one comes."""
    survey, store = make_survey(), DirectoryStore(tmp_path)
    assert LocalCycles(survey, store).number == 1
    assert LocalCycles(survey, store).begin(NOW) == 1
    start(survey, store, 1)
    cycles = LocalCycles(survey, store)
    assert (cycles.number, cycles.begin(NOW)) == (1, 1)
    cycles.end(1, NOW, is_overdue=True)
    assert LocalCycles(survey, store).begin(NOW) == 2
    end = Ledger.read(store, "default.sample").get_end(1)
    assert (end.succeeded, end.reason) == (False, "DeadlineExceeded")


def test_a_cycle_does_not_go_on_with_another_template(tmp_path: Path) -> None:
    """It ends as it is, and the next one has the new template."""
    survey, store = make_survey(), DirectoryStore(tmp_path)
    LocalCycles(survey, store).begin(NOW)
    start(survey, store, 1)
    changed = make_survey(measurementTemplate={"spec": {"maxRounds": 3}})
    cycles = LocalCycles(changed, store)
    assert (cycles.number, cycles.begin(NOW)) == (2, 2)
    assert Ledger.read(store, "default.sample").get_end(1).reason == "Superseded"


def find_problems(**spec: Any) -> str:
    """What is wrong with a survey in a manifest of its own."""
    manifest = merge(minimal("Survey"), {"spec": spec})
    text = yaml.safe_dump(manifest).encode()
    with pytest.raises(ManifestError) as caught:
        load_manifests(["-"], lambda: io.BytesIO(text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {},
            "spec.measurementTemplate.spec.agents[0].targetList: there is no "
            "TargetList 'routed'",
        ),
        ({}, "spec.measurementTemplate.spec: there is no ProbingPolicy"),
        ({"schedule": "0 0 30 2 *"}, "spec.schedule: '0 0 30 2 *' has a bad day"),
        ({"timeZone": "Mars/Olympus"}, "spec.timeZone: there is no time zone"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(spec: dict[str, Any], problem: str) -> None:
    """In the template as in a Measurement, and of the schedule."""
    assert problem in find_problems(**spec)
