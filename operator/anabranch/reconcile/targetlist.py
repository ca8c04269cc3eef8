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
    from datetime import datetime

    from anabranch.api import TargetList
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
            self._reports.pop((namespace, name), None)
            return None
        target_list = tools.recall(target_list)
        view = await self._look(target_list)
        status = describe_list(target_list, view, tools.now())
        await tools.say(target_list, status)
        # No watch reports a change of a ConfigMap, or an object that an admin adds.
        is_settled = view.report and not target_list.spec.place.config_map
        return None if is_settled else tools.look_seconds

    async def _look(self, target_list: TargetList) -> ListView:
        tools, metadata = self.tools, target_list.metadata
        spec, version = target_list.spec, str(metadata.generation)
        wanted = spec.place.config_map
        if spec.place.file is not None:
            message = "file is for the local runner; use a ConfigMap or the store"
            return ListView(obstacle=("WrongSource", message))
        if wanted is not None:
            place = Place("ConfigMap", metadata.namespace, wanted.name)
            found = await tools.objects.get(place)
            if found is None:
                message = f"there is no {place}; add it, or correct the name"
                return ListView(obstacle=("ConfigMapMissing", message))
            key = wanted.key
            config_map = read_object(ConfigMap, found)
            keys = (*config_map.data, *config_map.binary_data)
            if key not in keys:
                there = ", ".join(keys) or "none"
                message = f"{place} has no key {key!r}; it has {there}"
                return ListView(obstacle=("KeyMissing", message))
            version += f"-{config_map.metadata.resource_version}"
        return await self._check(target_list, version)

    async def _check(self, target_list: TargetList, version: str) -> ListView:
        """Return what a Job found in a version of a list; create the Job if needed."""
        tools, metadata = self.tools, target_list.metadata
        digest = hashlib.sha256(version.encode()).hexdigest()[:16]
        key = list_report(metadata.uid, digest)
        name = name_child(
            metadata.name[:_NAME_CHARACTERS], metadata.uid, digest, suffix="list"
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
