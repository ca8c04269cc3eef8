"""All agents of a survey, as threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest

from anabranch.local import survey

if TYPE_CHECKING:
    from anabranch.local.agentrun import AgentRun


class Endless:
    """An agent that goes on until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def run(self) -> None:
        """Goes on."""
        self.stopped.wait()

    def stop(self) -> None:
        """Lets it end."""
        self.stopped.set()


def test_no_agent_goes_on_when_nobody_watches() -> None:
    """Such as when what shows progress fails."""
    runs = [Endless(), Endless()]
    threads: list[threading.Thread] = []

    def watch() -> None:
        with survey._running(cast("list[AgentRun]", runs)) as started:  # noqa: SLF001
            threads.extend(started)
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        watch()
    assert len(threads) == 2
    assert not any(thread.is_alive() for thread in threads)
