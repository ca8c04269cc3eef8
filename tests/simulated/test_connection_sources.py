"""Who tells a standing measurement of connections, and what it may miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clientele import read_outcomes
from clientscripts import listen

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("lines", ["good", "hostile"])
def test_tcp_info_tells_of_connections(lines: str, tmp_path: Path) -> None:
    """Whatever else comes by its socket; when it goes, what may be missed is told."""
    script = f"""
with play_tcp_info(data.parent / "events.sock") as info:
    run = Running(manifest, data)
    info.await_listener(60)
    info.end("::ffff:240.0.1.1")
    if {lines!r} == "hostile":
        info.say(b'{{"Event": 0}}\\n[]\\n\\xff\\xfe\\n{{"UUID": "../../x"}}\\n')
        info.say(b'{{"Event": 1, "UUID": "never", "Timestamp": "x"}}\\n')
        info.say(b"x" * 1000000 + b"\\n" + b"[" * 50000 + b"\\n")
    info.end("3fff:0:0:2::1")
    time.sleep(1)
    info.leave()
    info.await_listener(60)
    info.end("240.0.3.1")
    time.sleep(1)
    run.settle()
    run.stop()
"""
    outcomes = read_outcomes(listen(script, tmp_path))
    traced = [each["client"] for each in outcomes if each["outcome"] == "traced"]
    assert sorted(traced) == ["240.0.1.1", "240.0.3.1", "3fff:0:0:2::1"]
    missed = [each for each in outcomes if each["outcome"] == "missed"]
    assert missed
    assert all(each["until"] >= each["since"] for each in missed)
