"""Surveys that are ended, killed or cut off: they go on, and lose nothing."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow.parquet as pq
import pytest

from anabranch.local.score import tell
from anabranch.rounds.steps import FIRST, Step
from anabranch.runs.chain import read_outcomes
from anabranch.store.directory import DirectoryStore
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.job import RoundJob
from onesurvey import (
    TARGETS,
    judge,
    open_run,
    read_links,
    rehearse,
    run_command,
)
from surveying import KILLER, ONCE_IT_PROBES, command, survey, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.store.store import Store


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[int, int]]:
    """The links that the rule finds in process; rates and delays don't change them."""
    folder = tmp_path_factory.mktemp("expected")
    return rehearse(World(96, 48), write_manifests(folder / "m", TARGETS), folder)


class CrashError(Exception):
    """What ends a process."""


@dataclass
class CrashingStore:
    """A store of which each put ends the process twice: before, and then after it."""

    store: DirectoryStore
    tries: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def _crash(self, key: str, put: Callable[[], bool]) -> bool:
        self.tries[key] += 1
        if self.tries[key] == 1:
            raise CrashError(key)
        done = put()
        if self.tries[key] == 2:
            raise CrashError(key)
        return done

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object there, perhaps."""
        return self._crash(key, lambda: self.store.put(key, content))

    def put_file(self, key: str, file: Path) -> bool:
        """The same with a file's content."""
        return self._crash(key, lambda: self.store.put_file(key, file))


def test_a_round_job_may_end_before_and_after_each_thing_that_it_puts(
    tmp_path: Path,
) -> None:
    """What it leaves is what one leaves that nothing has stopped."""
    world = World(32, 16)
    targets = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
    data, again = tmp_path / "data", DirectoryStore(tmp_path / "again")
    survey(world, write_manifests(tmp_path / "manifests", targets, maxRounds=3), data)
    keys, whole, engine = open_run(data), DirectoryStore(data), open_embedded()
    for key in whole.list(keys.root):
        if "/replies/" in key or key == keys.targets:
            again.put(key, whole.get(key))
    (assignment,) = judge(world, tmp_path / "manifests" / "survey.yaml").assignments
    rules = assignment.record.run_rules
    crashing, step, crashes = CrashingStore(again), cast("Step | None", FIRST), 0
    while step:
        scratch = tmp_path / f"scratch-{crashes}"
        scratch.mkdir()
        job = RoundJob(cast("Store", crashing), engine, keys, rules, scratch)
        try:
            outcomes = read_outcomes(cast("Store", crashing), keys)
            step = outcomes[max(outcomes)].next_step if outcomes else FIRST
            if step == FIRST:
                job.begin()
            while step:
                step = job.conclude(step).next_step
        except CrashError:
            crashes += 1
    assert crashes == 2 * len(crashing.tries) > 20
    for key in whole.list(keys.root):
        if key.endswith("plan.parquet"):
            assert pq.read_table(again.path(key)) == pq.read_table(whole.path(key))
    links = f"{keys.root}/*/links/*.parquet"
    rows = [
        engine.read(f"SELECT * FROM {store.read_sql(links)} ORDER BY ALL")
        for store in (whole, again)
    ]
    assert rows[0] == rows[1]


def test_a_survey_that_is_killed_again_and_again_ends_with_the_same_result(
    expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    """Whatever it was about to do; nothing is counted twice."""
    world = World(96, 48, switches={"delay": 0.2})
    manifests = write_manifests(
        tmp_path / "manifests", TARGETS, agent={"maxProbingRate": 5_000}
    )
    words = command(manifests, tmp_path / "data")
    world.run("python3", "-c", KILLER, *words)
    found = read_links(tmp_path / "data", tmp_path / "links.csv")
    assert {(tell(near), tell(far)) for near, far in found} == expected
    (left,) = (tmp_path / "data").glob(".*")
    assert left.name == ".default.survey.lock"


def test_an_interrupted_survey_says_so_and_goes_on(
    expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    """The running part is closed; the exit code is a shell's for SIGINT."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    words = shlex.join(command(manifests, data))
    script = f"{words} & {ONCE_IT_PROBES}; kill -INT $!; wait $!; echo code $?"
    output = world.run("bash", "-c", f"set -m; {script}")
    assert "agent1: stopped in round 1: " in output
    assert "it was stopped; run it again to go on" in output
    assert output.endswith("code 130\n")
    assert list(data.rglob("replies/*/*.parquet"))
    survey(world, manifests, data)
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == expected


def test_a_network_that_goes_away_loses_nothing(
    expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    """A link that goes down is one clear line; run again, it goes on."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    down = f"{{ {ONCE_IT_PROBES}; ip link set eth0 down; }} &"
    code, _, error = run_command(world, manifests, data, f"{down} true")
    assert code == 1
    told = "can't send on eth0: Network is down (os error 100); see that it is up"
    assert error.splitlines()[0] == f"anabranch: agent1: {told}"
    code, _, error = run_command(world, manifests, data)
    assert (code, error) == (0, "")
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == expected


def is_running(word: str) -> bool:
    """Whether there is a process with this word in its command."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if word.encode() in file.read_bytes():
                return True
    return False


def test_a_simulator_that_dies_takes_the_survey_along_and_loses_nothing(
    expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    """Nothing of it goes on running; started again, it ends as if nothing had been."""
    world = World(96, 48)
    agent = {"maxProbingRate": 2_000}
    manifests = write_manifests(tmp_path / "m", TARGETS, agent=agent)
    data = tmp_path / "data"
    words = command(manifests, data)
    with subprocess.Popen([*world.command, *words], stderr=subprocess.DEVNULL) as died:
        deadline = time.monotonic() + 300
        while not list(data.glob("agents/agent1/*/1/001-00/outcome.json")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)
        died.kill()
    deadline = time.monotonic() + 120
    while is_running(str(data)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    survey(world, manifests, data)
    found = {(tell(near), tell(far)) for near, far in read_links(data, tmp_path / "l")}
    assert found == expected
