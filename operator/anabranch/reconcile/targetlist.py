"""TargetLists: a Job checks each list, and stores the content that runs pin."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch.api.configmap import ConfigMap
from anabranch.api.targetlist import ListProblem, TargetListStatus
from anabranch.cluster.objects import ForeignError, Place, read_object
from anabranch.manifests.jobs import build_job
from anabranch.manifests.labels import Component, label, name_child
from anabranch.reconcile.conditions import Conditions
from anabranch.runs.report import ListReport, read_report
from anabranch.store.keys import list_report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from anabranch.api import TargetList
    from anabranch.api.targetlist import ConfigMapKey
    from anabranch.reconcile.toolbox import Toolbox

_NAME_CHARACTERS = 48
_TOLD_PROBLEMS = 3
_FINAL = frozenset({"WrongSource", "NameTaken"})
"""Obstacles that nobody can remove by adding something."""


@dataclass(frozen=True)
class ListView:
    """What is known of a list."""

    report: ListReport | None = None
    obstacle: tuple[str, str] | None = None
    """Why there is no report and none will come: reason and message."""


def describe_list(
    target_list: TargetList, view: ListView, now: datetime
) -> TargetListStatus:
    """Return the status of a list."""
    conditions = Conditions(target_list, target_list.status.conditions, now)
    generation = target_list.metadata.generation
    report = view.report
    if view.obstacle:
        reason, message = view.obstacle
        conditions.set("Ready", reason, message, holds=False)
        if reason in _FINAL:
            conditions.set("Stalled", reason, message)
    elif report is None:
        conditions.set("Ready", "Checking", "a Job checks it", holds=False)
        conditions.set("Reconciling", "Checking", "a Job checks it")
    elif report.reason or report.problem_count:
        reason, message = "ListUnusable", report.reason
        if report.problem_count:
            reason, message = "BadLines", _describe_problems(report)
        conditions.set("Ready", reason, message, holds=False)
        conditions.set("Stalled", reason, message)
    else:
        message = f"{report.entries:,} entries"
        conditions.set("Ready", "Checked", message)
    report = report or ListReport()
    return TargetListStatus(
        observed_generation=generation,
        conditions=conditions.all,
        digest=report.digest or None,
        lines=report.lines or None,
        entries=report.entries or None,
        prefixes=report.prefixes or None,
        problems=tuple(
            ListProblem(line=line, reason=reason[:1024])
            for line, reason in report.problems
        ),
        problem_count=report.problem_count or None,
    )


def _describe_problems(report: ListReport) -> str:
    told = [f"line {line}: {reason}" for line, reason in report.problems]
    more = report.problem_count - len(told[:_TOLD_PROBLEMS])
    rest = f"; and {more} more" if more else ""
    return "; ".join(told[:_TOLD_PROBLEMS]) + rest + "; nothing of the list is used"


class MissingError(Exception):
    """A list's content is not where the list says."""

    def __init__(self, reason: str, message: str) -> None:
        self.obstacle = reason, message
        super().__init__(message)


async def find_unchecked(tools: Toolbox, lists: Iterable[TargetList]) -> frozenset[str]:
    """Return the names of the lists whose status is not of what they hold now.

    Raises:
        OSError: When the store can't be reached.
        RefusedError: When the API server refuses a request.
        UnreachableError: When the API server can't be reached.
    """
    return frozenset(
        [each.metadata.name for each in lists if not await _is_checked(tools, each)]
    )


async def _is_checked(tools: Toolbox, target_list: TargetList) -> bool:
    try:
        key = await find_report(tools, target_list)
    except MissingError:
        return False
    report = await asyncio.to_thread(read_report, tools.store, key, ListReport)
    return report is not None and report.digest == target_list.status.digest


async def find_report(tools: Toolbox, target_list: TargetList) -> str:
    """Return the key of the report on what a list holds now.

    Raises:
        MissingError: When it is not where the list says.
    """
    metadata, place = target_list.metadata, target_list.spec.place
    version = str(metadata.generation)
    if place.file is not None:
        message = "file is for the local runner; use a ConfigMap or the store"
        raise MissingError("WrongSource", message)
    if place.config_map is not None:
        version += f"-{await _find_stamp(tools, metadata.namespace, place.config_map)}"
    elif place.object is not None:
        key = place.object.key
        try:
            version += f"-{await asyncio.to_thread(tools.store.find_stamp, key)}"
        except FileNotFoundError as error:
            message = f"there is no object {key!r} in the store; put it there"
            raise MissingError("ObjectMissing", message) from error
    digest = hashlib.sha256(version.encode()).hexdigest()[:16]
    return list_report(metadata.uid, digest)


async def _find_stamp(tools: Toolbox, namespace: str, wanted: ConfigMapKey) -> str:
    """Return the version of a ConfigMap that has a key.

    Raises:
        MissingError: When there is no such ConfigMap, or it lacks the key.
    """
    place = Place("ConfigMap", namespace, wanted.name)
    found = await tools.objects.get(place)
    if found is None:
        message = f"there is no {place}; add it, or correct the name"
        raise MissingError("ConfigMapMissing", message)
    config_map = read_object(ConfigMap, found)
    keys = (*config_map.data, *config_map.binary_data)
    if wanted.key not in keys:
        there = ", ".join(keys) or "none"
        message = f"{place} has no key {wanted.key!r}; it has {there}"
        raise MissingError("KeyMissing", message)
    return config_map.metadata.resource_version


@dataclass
class TargetLists:
    """The reconciler of TargetLists."""

    tools: Toolbox
    _reports: dict[tuple[str, str], tuple[str, ListReport]] = field(
        default_factory=dict
    )
    """The last report of each list, with its key in the store."""

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Have a list checked; return the seconds after which to look again.

        Raises:
            OSError: When the store can't be reached.
            RefusedError: When the API server refuses a request.
            UnreachableError: When the API server can't be reached.
        """
        tools = self.tools
        found = tools.inventory.lists.get((namespace, name))
        target_list = next(iter(found or ()), None)
        if target_list is None or target_list.metadata.deletion_timestamp:
            await self._forget((namespace, name))
            return None
        target_list = tools.recall(target_list)
        try:
            key = await find_report(tools, target_list)
        except MissingError as error:
            view = ListView(obstacle=error.obstacle)
        else:
            await self._forget(target_list.key, current=key)
            view = await self._check(target_list, key)
        status = describe_list(target_list, view, tools.now())
        await tools.say(target_list, status)
        # No watch reports a change of a ConfigMap or an object of the store.
        is_settled = view.report and target_list.spec.entries
        return None if is_settled else tools.look_seconds

    async def _forget(self, name: tuple[str, str], current: str = "") -> None:
        """Remove the reports on a list that is gone, also if it is there again.

        Those of a list that goes while no operator looks stay: it is not known here.
        """
        key, _ = self._reports.get(name, ("", None))
        folder, slash, _ = key.rpartition("/")
        if folder and not current.startswith(folder + slash):
            await asyncio.to_thread(self.tools.store.remove, folder)
            del self._reports[name]

    async def _check(self, target_list: TargetList, key: str) -> ListView:
        """Return what a Job reports under a key; create the Job if needed."""
        tools, metadata = self.tools, target_list.metadata
        name = name_child(
            metadata.name[:_NAME_CHARACTERS], metadata.uid, key, suffix="list"
        )
        job = tools.inventory.find_jobs(metadata.uid).get(name)
        known, report = self._reports.get(target_list.key, ("", None))
        if known != key:
            report = await asyncio.to_thread(read_report, tools.store, key, ListReport)
        if report is not None:
            self._reports[target_list.key] = (key, report)
            return ListView(report)
        if job and job.is_failed:
            return ListView(obstacle=("CheckFailed", await tools.explain(job)))
        if job is None or job.is_complete:
            namespace = metadata.namespace
            words = ["list", "--namespace", namespace, "--name", metadata.name]
            labels = label(Component.LIST_JOB, target_list_uid=metadata.uid)
            manifest = build_job(
                tools.settings, name, labels, [*words, "--report", key], is_of_list=True
            )
            try:
                await tools.objects.create(manifest)
            except ForeignError as error:
                return ListView(obstacle=("NameTaken", str(error)))
        return ListView()
