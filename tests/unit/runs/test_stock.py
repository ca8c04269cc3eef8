"""The runs that a store holds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from anabranch.rounds.steps import FIRST, Step
from anabranch.runs.removal import note_removal
from anabranch.runs.stock import goes_on, take_stock
from anabranch.store.directory import DirectoryStore
from anabranch.store.keys import CycleKeys, RunKeys, SurveyKeys

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.store.store import Store

RUN = SurveyKeys("uid", "1")
"""A run of a cluster."""
LOCAL = SurveyKeys("default.demo", "1")
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def conclude(store: Store, keys: RunKeys, step: Step, following: Step | None) -> None:
    """Puts the outcome of a step."""
    named = str(following) if following else None
    zeros = dict.fromkeys(("probes", "replies", "links", "prefixes", "amplified"), 0)
    more = {"looping": 0, "next": named, "probes_left": 0, "is_cut": False}
    text = json.dumps({"step": str(step)} | zeros | more)
    store.put(keys.step(step).outcome, text.encode())


def test_a_run_is_what_all_agents_have_of_it(store: Store) -> None:
    """Their folders and its own, with those of its rehearsals; nothing else."""
    for agent in ("paris", "tokyo.1"):
        store.put(RunKeys("uid", "1", agent).run, b"12345")
        part = f"{RunKeys('uid', '1', agent).step(FIRST).parts(0)}/0.parquet"
        store.put(part, b"678")
    store.put(RUN.roster, b"9")
    store.put(SurveyKeys("uid", "1", "+dry7").roster, b"0")
    store.put(SurveyKeys("uid", "2").roster, b"other")
    for key in ("shared/list", "lists/uid/1.json", "agents/mine", "surveys/uid/mine"):
        store.put(key, b"not a run's")
    first, second = take_stock(store)
    assert (first.keys, first.objects, first.size) == (RUN, 6, 18)
    assert first.agents == ("paris", "tokyo.1")
    assert first.folders == (
        *("agents/paris/uid/1", "agents/tokyo.1/uid/1"),
        *("surveys/uid/1", "surveys/uid/1+dry7"),
    )
    assert first.newest is not None
    assert abs(datetime.now(UTC) - first.newest) < timedelta(days=1)
    assert (second.keys, second.size) == (SurveyKeys("uid", "2"), 5)


def test_a_run_of_a_cluster_ends_with_its_summary(store: Store) -> None:
    """Agents may have been through before."""
    keys = RunKeys("uid", "1", "paris")
    store.put(RUN.roster, b"")
    conclude(store, keys, FIRST, None)
    (run,) = take_stock(store)
    assert run.ended is None
    store.put(RUN.summary, b"")
    (run,) = take_stock(store)
    assert run.ended == run.newest


def test_a_local_run_ends_with_the_last_steps_of_all_agents(store: Store) -> None:
    """It has neither a roster nor a summary."""
    second = Step(2, 0)
    paris, tokyo = (RunKeys("default.demo", "1", name) for name in ("paris", "tokyo"))
    for keys in (paris, tokyo):
        store.put(keys.run, b"")
        conclude(store, keys, FIRST, second)
    conclude(store, paris, second, None)
    (run,) = take_stock(store)
    assert run.ended is None
    conclude(store, tokyo, second, None)
    (run,) = take_stock(store)
    assert run.ended == run.newest


def test_what_cannot_be_read_has_not_ended(store: Store) -> None:
    """And does not keep others from being found."""
    store.put(RunKeys("default.demo", "1", "paris").step(FIRST).outcome, b"{")
    store.put(RUN.summary, b"")
    assert [(r.keys, bool(r.ended)) for r in take_stock(store)] == [
        (LOCAL, False),
        (RUN, True),
    ]


def test_a_dry_run_has_not_ended(store: Store) -> None:
    """Nor has a standing one, of which there are archives alone."""
    store.put(SurveyKeys("uid", "1", "+dry2").roster, b"")
    store.put(f"{RunKeys('standing', '1', 'paris').archives}/1.jsonl", b"")
    assert [run.ended for run in take_stock(store)] == [None, None]


def test_cycles_are_those_of_a_survey_until_they_are_removed(store: Store) -> None:
    """Those of a local survey are not: it has no retention."""
    for name in ("kept", "gone", "default.demo"):
        store.put(SurveyKeys(name, "1").summary, b"")
    for number, uid in ((1, "gone"), (2, "kept")):
        cycle = CycleKeys("weekly", number)
        store.put(cycle.record, b"")
        store.put(cycle.measurement(uid), b"")
    store.put(CycleKeys("weekly", 1).removed, b"")
    store.put(CycleKeys("default.demo", 1).record, b"")
    surveys = {run.keys.measurement: run.survey for run in take_stock(store)}
    assert surveys == {"kept": "weekly", "gone": None, "default.demo": None}


def test_a_removal_that_has_begun_is_known(store: Store) -> None:
    """Even if nothing but the note is left."""
    store.put(RUN.summary, b"")
    note_removal(store, RUN)
    note_removal(store, LOCAL)
    found = {run.keys: (run.is_going, run.objects) for run in take_stock(store)}
    assert found == {RUN: (True, 1), LOCAL: (True, 0)}


def test_a_run_goes_on_if_it_puts_an_object(tmp_path: Path) -> None:
    """One that stands still does not, nor one that has ended or is removed."""
    store = DirectoryStore(tmp_path)
    store.put(RUN.roster, b"")
    os.utime(store.path(RUN.roster), (THEN.timestamp(), THEN.timestamp()))
    (run,) = take_stock(store)
    assert run.newest == THEN
    assert not goes_on(store, run)
    store.put(f"{RUN.root}/later", b"")
    assert goes_on(store, run)
    assert not goes_on(store, replace(run, ended=THEN))
    assert not goes_on(store, replace(run, is_going=True))
