"""Find the runs of a measurement in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.runs.removal import find_removals
from anabranch.runs.roster import Roster
from anabranch.store.keys import RunKeys, SurveyKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anabranch.store.store import Store


def find_runs(
    store: Store, namespace: str, measurement: str, run_id: str | None
) -> list[RunKeys]:
    """Find each agent's part of a measurement's run, local or of a cluster.

    ``measurement`` is its name, or in a cluster also its UID: a Measurement that was
    deleted and made again has the same name.

    Raises:
        LookupError: If there is no such run, or if ``run_id`` is None and there are
            several.
    """
    name = f"{namespace}.{measurement}"
    found = dict(_find_local(store, name))
    rosters = list(_read_rosters(store))
    for roster in rosters:
        if measurement == roster.uid or name == _name(roster):
            keys = SurveyKeys(roster.uid, roster.measurement.spec.run_id)
            found[keys] = [
                RunKeys(keys.measurement, keys.run_id, member.name)
                for member in roster.runs
            ]
    for keys in find_removals(store):
        found.pop(keys, None)
    ids = sorted({keys.run_id for keys in found})
    if not found:
        known = {_name(roster) for roster in rosters} or _find_names(store)
        others = f"only of: {', '.join(sorted(known))}" if known else "nor of any other"
        raise LookupError(f"there is no run of {name} in {store}, {others}")
    chosen = [keys for keys in found if run_id in {None, keys.run_id}]
    if not chosen:
        raise LookupError(
            f"{name} has no run {run_id!r} in {store}, only {', '.join(ids)}"
        )
    if run_id is None and len(ids) > 1:
        raise LookupError(f"{name} has the runs {', '.join(ids)}; choose one")
    if len(chosen) > 1:
        uids = ", ".join(sorted(keys.measurement for keys in chosen))
        raise LookupError(
            f"several Measurements had the name {name}; give the UID of one instead: "
            f"{uids}"
        )
    return found[chosen[0]]


def find_parts(store: Store, uid: str, run_id: str) -> list[RunKeys]:
    """Return the part of a run that each agent has begun; ``uid`` is as in the store.

    Raises:
        LookupError: If there is no such run.
    """
    parts = dict(_find_local(store, uid)).get(SurveyKeys(uid, run_id), [])
    if not parts:
        raise LookupError(f"there is no run {run_id!r} any more")
    return parts


def find_only_measurement(store: Store, namespace: str) -> str:
    """Return the name of the only measurement of a namespace that has runs.

    Raises:
        LookupError: If there is none, or several.
    """
    known = _find_names(store) | {_name(roster) for roster in _read_rosters(store)}
    within = f"{namespace}."
    names = sorted(
        name.removeprefix(within) for name in known if name.startswith(within)
    )
    match names:
        case [name]:
            return name
        case []:
            raise LookupError(f"there is no run in {store}")
        case _:
            raise LookupError(f"{store} has runs of {', '.join(names)}; choose one")


def _find_local(store: Store, uid: str) -> Iterator[tuple[SurveyKeys, list[RunKeys]]]:
    """Yield the runs of a measurement that has its name as UID, as local ones do."""
    runs: dict[SurveyKeys, list[RunKeys]] = {}
    for agent in store.folders("agents"):
        for run_id in store.folders(f"agents/{agent}/{uid}"):
            keys = RunKeys(uid, run_id, agent)
            try:
                store.tail(keys.run, 1)
            except FileNotFoundError:
                continue  # Another agent's run is not there yet, either.
            runs.setdefault(SurveyKeys(uid, run_id), []).append(keys)
    yield from runs.items()


def _read_rosters(store: Store) -> Iterator[Roster]:
    """Yield the rosters of a cluster's runs; rehearsals are none."""
    for uid in store.folders("surveys"):
        for part in store.folders(f"surveys/{uid}"):
            if "+" in part:
                continue
            try:
                text = store.get(SurveyKeys(uid, part).roster)
            except FileNotFoundError:
                continue
            yield Roster.model_validate_json(text)


def _find_names(store: Store) -> set[str]:
    """Return the UIDs of all measurements, which are the names of local ones."""
    return {
        uid
        for agent in store.folders("agents")
        for uid in store.folders(f"agents/{agent}")
    }


def _name(roster: Roster) -> str:
    metadata = roster.measurement.metadata
    return f"{metadata.namespace}.{metadata.name}"
