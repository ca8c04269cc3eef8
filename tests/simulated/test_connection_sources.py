"""Who tells a standing measurement of connections, and what it may miss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clientele import PORT, read_outcomes
from clientscripts import listen, play

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


def test_what_the_kernel_could_not_keep_is_missed(tmp_path: Path) -> None:
    """And what comes behind it is heard."""
    script = f"""
import json
from anabranch.connections import sources
sources._BUFFER = 1
source = sources.Kernel(frozenset([{PORT}]), "host_1", None)
with clientele() as clients:
    clients.connect(["240.0.1.1"] * 100)
    full = source.hear(time.time())
    clients.connect(["240.0.2.1"])
    until = time.monotonic() + 60
    while not (rest := source.hear(time.time()).closings):
        assert time.monotonic() < until, "it hears nothing"
        time.sleep(0.05)
told = {{
    "heard": len(full.closings),
    "missed": [each.reason for each in full.missed],
    "clients": [str(each.client) for each in rest],
}}
data.mkdir()
(data / "told.json").write_text(json.dumps(told))
"""
    told = json.loads((play(script, tmp_path) / "told.json").read_text())
    assert told["heard"] < 100
    assert set(told["missed"]) == {"more connections ended than the kernel keeps"}
    assert told["clients"] == ["240.0.2.1"]
