"""The runs that a store holds, and what each of them takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.runs.chain import has_ended
from anabranch.runs.removal import find_removals
from anabranch.store.keys import AGENTS, CYCLES, SURVEYS, RunKeys, SurveyKeys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from anabranch.store.store import Store, StoredObject


@dataclass(frozen=True)
class StoredRun:
    """A run, of whatever agents, as the store has it."""

    keys: SurveyKeys
    folders: tuple[str, ...] = ()
    """Where its objects are: each agent's, then those of all agents."""
    objects: int = 0
    size: int = 0
    """The bytes of all objects."""
    newest: datetime | None = None
    """When the latest object was put."""
    ended: datetime | None = None
    """When it ended; None if it has not."""
    survey: str | None = None
    """The UID of the cluster's Survey that it is a cycle of."""
    is_going: bool = False
    """Whether its removal has begun."""

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents and teams that have objects of it."""
        found = (folder.split("/") for folder in self.folders)
        return tuple(agent for root, agent, *_ in found if root == AGENTS)


@dataclass
class _Draft:
    """What the objects seen so far say of a run."""

    folders: set[str] = field(default_factory=set)
    objects: int = 0
    size: int = 0
    newest: datetime | None = None
    summary: datetime | None = None
    """When the results of all agents were gathered."""
    has_roster: bool = False

    def add(self, folder: str, found: StoredObject) -> None:
        self.folders.add(folder)
        self.objects += 1
        self.size += found.size
        self.newest = max(self.newest or found.modified, found.modified)


def take_stock(store: Store) -> list[StoredRun]:
    """Return the runs of a store by one look at each object's name, size and time.

    Raises:
        OSError: If the store can't be read.
    """
    drafts: dict[SurveyKeys, _Draft] = {}
    for found in store.scan(AGENTS):
        match found.key.split("/"):
            case [_, agent, uid, run_id, _, *_]:
                draft = drafts.setdefault(SurveyKeys(uid, run_id), _Draft())
                draft.add(RunKeys(uid, run_id, agent).root, found)
            case _:
                pass  # It is somebody else's.
    for found in store.scan(SURVEYS):
        match found.key.split("/"):
            case [_, uid, name, _, *_]:
                run_id, plus, part = name.partition("+")
                keys = SurveyKeys(uid, run_id, plus + part)
                draft = drafts.setdefault(SurveyKeys(uid, run_id), _Draft())
                draft.add(keys.root, found)
                draft.has_roster |= not plus and found.key == keys.roster
                if not plus and found.key == keys.summary:
                    draft.summary = found.modified
            case _:
                pass
    # After all others: a run that has ended was noted long before as a cycle's.
    going, cycles = set(find_removals(store)), dict(_find_cycles(store))
    for keys in going:
        # Of some only the note is left.
        drafts.setdefault(keys, _Draft())
    return [
        StoredRun(
            keys=keys,
            folders=tuple(sorted(draft.folders)),
            objects=draft.objects,
            size=draft.size,
            newest=draft.newest,
            ended=draft.summary or _find_end(store, keys, draft),
            survey=cycles.get(keys.measurement),
            is_going=keys in going,
        )
        for keys, draft in drafts.items()
    ]


def goes_on(store: Store, run: StoredRun) -> bool:
    """Return whether a run that has not ended has put an object since stock was taken.

    A run that has ended puts no more.
    """
    if run.ended or run.is_going or run.newest is None:
        return False
    return any(
        found.modified > run.newest
        for folder in run.folders
        for found in store.scan(folder)
    )


def _find_end(store: Store, keys: SurveyKeys, draft: _Draft) -> datetime | None:
    """Return when a local run ended: it has neither a roster nor a summary."""
    if draft.has_roster:
        return None
    agents = [f.split("/")[1] for f in draft.folders if f.startswith(f"{AGENTS}/")]
    runs = [RunKeys(keys.measurement, keys.run_id, agent) for agent in agents]
    try:
        is_over = bool(runs) and all(has_ended(store, run) for run in runs)
    except (ValueError, TypeError):
        # What an outcome says can't be read, so its run can't go on either.
        return None
    return draft.newest if is_over else None


def _find_cycles(store: Store) -> Iterator[tuple[str, str]]:
    """Yield the UIDs of Measurements whose objects a Survey keeps, and the Survey's.

    Cycles of a local run have no such UIDs.
    """
    made: dict[tuple[str, str], list[str]] = {}
    for key in store.list(CYCLES):
        match key.split("/"):
            case [_, survey, number, "measurements", name]:
                uids = made.setdefault((survey, number), [])
                uids.append(name.removesuffix(".json"))
            case [_, survey, number, "removed.json"]:
                made.pop((survey, number), None)
            case _:
                pass
    for (survey, _), uids in made.items():
        yield from ((uid, survey) for uid in uids)
