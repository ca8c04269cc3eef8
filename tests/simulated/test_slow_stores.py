"""Agents that trace clients, and stores that hang or break."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from clientele import write_manifest
from world import World

_TESTS = Path(__file__).parents[1]
_HEAD = """
import sys; sys.path.insert(0, sys.argv[1])
import json
import threading
from pathlib import Path
from anabranch.store.directory import DirectoryStore
from clientele import Threaded
from eventsocket import play_tcp_info
manifest, data = map(Path, sys.argv[2:4])
"""


def play(script: str, folder: Path) -> str:
    """Play a script with an agent that listens to tcp-info; return what it prints."""
    agent = {"eventSocket": str(folder / "events.sock")}
    heard: dict[str, Any] = {
        "source": "eventSocket",
        "ports": [443],
        "archiveSeconds": 10,
    }
    manifest = write_manifest(folder / "m", agent=agent, **heard)
    words = [sys.executable, "-c", _HEAD + script, str(_TESTS)]
    return World().run(*words, str(manifest), str(folder / "data"))


def test_traces_begin_while_the_store_hangs_and_an_end_waits_for_it(
    tmp_path: Path,
) -> None:
    """What has ended until then is stored, too, before the agent ends."""
    script = """
class Hanging(DirectoryStore):
    asked, free = threading.Event(), threading.Event()

    def put_file(self, key, file):
        self.asked.set()
        self.free.wait()
        return super().put_file(key, file)

store = Hanging(data)
with play_tcp_info(data.parent / "events.sock") as info:
    agent = Threaded(manifest, store)
    info.await_listener(60)
    info.end("240.0.1.1")
    try:
        assert store.asked.wait(120), "nothing is stored"
        info.end("240.0.2.1")
        for _ in range(2):
            agent.traced.get(timeout=120)
    except BaseException:
        store.free.set()
        raise
    finally:
        agent.service.stop()
    info.await_leave()
    store.free.set()
    kept = agent.end()
print(json.dumps([key.split("/")[5] for key in kept]))
"""
    kept = json.loads(play(script, tmp_path))
    assert sorted(kept) == ["connections"] * 2 + ["scamper1"] * 2


def test_a_store_that_breaks_ends_the_agent_with_its_error(tmp_path: Path) -> None:
    """Only what a store may say, that it is away for now, is waited for."""
    script = """
class Broken(DirectoryStore):
    def put_file(self, key, file):
        raise RuntimeError("it is broken")

with play_tcp_info(data.parent / "events.sock") as info:
    agent = Threaded(manifest, Broken(data))
    info.await_listener(60)
    info.end("240.0.1.1")
    try:
        agent.end()
    except RuntimeError as error:
        print(error)
"""
    assert play(script, tmp_path).strip() == "it is broken"
