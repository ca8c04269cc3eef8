"""A soak: work, faults that strike it, and what is wrong in the end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devcluster.demo import SYSTEM
from devcluster.process import tell, wait_until
from soak.faults import Scene, find_fault
from soak.judge import (
    AT_REST,
    AT_WORK,
    Book,
    find_condition,
    judge_children,
    judge_cycles,
    judge_end,
    judge_process,
    judge_rate,
    judge_senders,
)
from soak.records import Records
from soak.work import (
    CYCLES,
    RATE,
    TEAM_SPACE,
    WORKS,
    Work,
    write_lists,
    write_object,
    write_survey,
)
from wiretap import tap_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from devcluster.cluster import Cluster
    from devcluster.demo import Demo
    from devcluster.kubectl import Kubectl
    from soak.judge import Found, Frame
    from soak.schedule import Strike
    from wiretap import Wiretap

LOOK_SECONDS = 3.0
END_SECONDS = 1200.0
"""The longest that a measurement may take, with all that strikes it."""


@dataclass
class Soak:
    """One soak in a namespace of its own."""

    cluster: Cluster
    demo: Demo
    kubectl: Kubectl
    works: Sequence[Work] = WORKS
    book: Book = field(default_factory=Book)
    done: dict[str, int] = field(default_factory=dict)
    """How many measurements of each kind ended."""
    struck: list[str] = field(default_factory=list)
    """The faults, and what became of them."""
    _begin: float = field(default_factory=time.monotonic)
    _calm: float = field(default_factory=time.monotonic)
    """When no more faults begin."""
    _ends: threading.Event = field(default_factory=threading.Event)
    """Set once no more work begins."""
    _is_over: threading.Event = field(default_factory=threading.Event)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    @property
    def records(self) -> Records:
        """What the cluster has and says."""
        return Records(self.cluster, self.kubectl)

    def run(self, strikes: Iterable[Strike], seconds: float) -> None:
        """Works for so many seconds while faults strike, and until all has ended."""
        before = set(self.records.list_children())
        self._apply(*write_lists())
        expected = self._learn()
        self._begin = time.monotonic()
        self._calm = self._begin + seconds
        with self._tap() as wires, ThreadPoolExecutor(32) as pool:
            watching = pool.submit(self._watch)
            working = [
                pool.submit(self._repeat, work, expected[work.name])
                for work in self.works
            ]
            self._apply(write_survey())
            working.append(pool.submit(self._end_cycles, expected[CYCLES.name]))
            striking = [pool.submit(self._strike, strike) for strike in strikes]
            time.sleep(max(self._calm - time.monotonic(), 0))
            self._ends.set()
            for task in (*striking, *working):
                task.result()
            self._is_over.set()
            watching.result()
        self._judge_wires({name: wire.sent for name, wire in wires.items()})
        self._judge_rest(before)

    @contextlib.contextmanager
    def _tap(self) -> Iterator[dict[str, Wiretap]]:
        """Listens to what each node sends."""
        with contextlib.ExitStack() as stack:
            yield {
                node.member.name: stack.enter_context(
                    tap_wire(node.member.unique_name, "sim0")
                )
                for node in self.cluster.nodes
            }

    def _judge_wires(self, sent: Mapping[str, Sequence[Frame]]) -> None:
        for name, frames in sent.items():
            self._tell(f"{name} has sent {len(frames)} packets")
            self.book.note(judge_rate(name, frames, RATE * (len(self.works) + 1)))
        team = (
            (at, name, to)
            for name, frames in sent.items()
            for at, to in frames
            if to in TEAM_SPACE
        )
        self.book.note(judge_senders(team))

    def _tell(self, words: str) -> None:
        tell(f"{time.monotonic() - self._begin:7.1f} s  {words}")

    def _apply(self, *objects: dict[str, Any]) -> None:
        """Makes objects, whatever is broken meanwhile."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        for _ in range(100):
            with contextlib.suppress(RuntimeError):
                self.kubectl.apply(text)
                return
            time.sleep(LOOK_SECONDS)
        self.kubectl.apply(text)

    def _remove(self, kind: str, name: str) -> None:
        """Removes an object, and waits until it is gone."""
        words = ("delete", kind, name, "--ignore-not-found", "--wait=false")
        for _ in range(100):
            with contextlib.suppress(RuntimeError):
                self.kubectl.run(*words)
                return
            time.sleep(LOOK_SECONDS)

    def _learn(self) -> dict[str, Found]:
        """What an undisturbed measurement of each kind finds."""
        works = (*self.works, CYCLES)
        for work in works:
            self._apply(write_object("Measurement", f"{work.name}-calm", work.spec))
        expected = {}
        for work in works:
            found = self._wait_end(f"{work.name}-calm")
            expected[work.name] = self.records.read_end(found)
            status = expected[work.name].status
            if find_condition(status, "Complete") != "True" or expected[work.name].gaps:
                raise RuntimeError(
                    f"{work.name}, undisturbed, does not end well: {status}"
                )
            self._remove("measurement", f"{work.name}-calm")
            links, totals = len(expected[work.name].links), expected[work.name].totals
            self._tell(f"{work.name} finds {links} links undisturbed: {totals}")
        return expected

    def _wait_end(self, name: str) -> dict[str, Any]:
        """Waits until a measurement has ended, well or not; how it is then.

        Its time counts from the last fault on: how much is left to it between faults
        depends on how fast the machine is.
        """
        deadline = max(time.monotonic(), self._calm) + END_SECONDS
        while time.monotonic() < deadline:
            found = self.records.find("measurement", name)
            if found and found.get("status", {}).get("completionTime"):
                return found
            time.sleep(LOOK_SECONDS)
        return self.records.find("measurement", name) or {"metadata": {"uid": ""}}

    def _repeat(self, work: Work, expected: Found) -> None:
        """Does a kind of measurement again and again."""
        number = 0
        while not self._ends.is_set():
            number += 1
            name = f"{work.name}-{number}"
            self._apply(write_object("Measurement", name, work.spec))
            self._judge(name, self._wait_end(name), work, expected)
            self._remove("measurement", name)

    def _judge(
        self, name: str, measurement: dict[str, Any], work: Work, expected: Found
    ) -> None:
        found = self.records.read_end(measurement)
        wrong = list(judge_end(name, found, expected, work.same))
        self.book.note(wrong)
        self.done[work.name] = self.done.get(work.name, 0) + 1
        self._tell(f"{name} has ended: {'; '.join(wrong) or 'well'}")

    def _end_cycles(self, expected: Found) -> None:
        """Judges the cycles of the survey, and ends it once no more work begins."""
        judged: set[str] = set()
        is_ending = False
        deadline = float("inf")
        while time.monotonic() < deadline:
            if self._ends.is_set() and not is_ending:
                is_ending, deadline = True, time.monotonic() + END_SECONDS
                survey = write_survey()
                survey["spec"]["suspend"] = True
                self._apply(survey)
            with contextlib.suppress(RuntimeError):
                found = [
                    each
                    for each in self.kubectl.get("measurements")["items"]
                    if each["metadata"]["name"].startswith(f"{CYCLES.name}-0")
                ]
                for each in found:
                    name = each["metadata"]["name"]
                    ended = each.get("status", {}).get("completionTime")
                    if ended and name not in judged:
                        judged.add(name)
                        self._judge(name, each, CYCLES, expected)
                names = {each["metadata"]["name"] for each in found}
                if is_ending and names <= judged:
                    self._remove("survey", CYCLES.name)
                    return
            time.sleep(LOOK_SECONDS)
        self.book.note(["the last cycle of the survey does not end"])

    def _strike(self, strike: Strike) -> None:
        time.sleep(max(self._begin + strike.at - time.monotonic(), 0))
        scene = Scene(self.cluster, self.demo, self._locks)
        self._tell(f"strikes: {strike}")
        try:
            find_fault(strike.kind)(scene, strike)
        except (RuntimeError, TimeoutError, KeyError) as error:
            # Another fault may have taken away what this one strikes.
            self.struck.append(f"{strike}: {str(error)[:200]}")
        else:
            self.struck.append(str(strike))

    def _watch(self) -> None:
        """Looks at what must hold at all times."""
        while not self._is_over.is_set():
            with contextlib.suppress(RuntimeError):
                self.book.note(judge_children(self.records.find_all("rounds")))
                self.book.note(judge_cycles(self.records.find_all("measurements")))
                for process in self.records.list_processes():
                    self.book.note(judge_process(process, AT_WORK))
            time.sleep(1)

    def _judge_rest(self, before: set[str]) -> None:
        """Nothing is left once all is removed, but what was there before."""
        for kind in ("surveys", "measurements", "targetlists"):
            words = ("delete", kind, "--all")
            self.kubectl.run(*words)
        left: list[str] = []

        def is_clean() -> bool:
            left[:] = set(self.records.list_children()) - before
            return not left

        with contextlib.suppress(TimeoutError):
            wait_until("all children to go", is_clean, 12)
        self.book.note(f"{each} is left" for each in left)
        leases = self.kubectl.get("leases", f"--namespace={SYSTEM}")["items"]
        names = {each["metadata"]["name"] for each in leases}
        known = {"anabranch-operator", "anabranch-agent-paris", "anabranch-agent-tokyo"}
        self.book.note(f"Lease {each} is left" for each in names - known)
        for process in self.records.list_processes():
            self._tell(str(process))
            self.book.note(judge_process(process, AT_REST))
