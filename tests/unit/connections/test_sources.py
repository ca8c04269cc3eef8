"""What a source of events may miss, and what it says of its trouble."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from anabranch.connections.sources import TcpInfo
from eventsocket import play_tcp_info

if TYPE_CHECKING:
    from pathlib import Path

END = {"Event": 1, "Timestamp": "2026-11-29T12:00:00Z", "UUID": "early", "ID": None}


def test_what_began_while_nobody_listened_is_missed_when_it_ends(
    tmp_path: Path,
) -> None:
    """tcp-info names the client of a connection when it begins, and only then."""
    with play_tcp_info(tmp_path / "events.sock") as info:
        source = TcpInfo(tmp_path / "events.sock", frozenset(), None)
        assert not source.hear(1.0).missed
        info.await_listener(60)
        info.say(json.dumps(END).encode() + b"\n")
        info.end("240.0.1.1")
        heard = source.hear(2.0)
        source.close()
    assert [str(each.client) for each in heard.closings] == ["240.0.1.1"]
    (missed,) = heard.missed
    assert (missed.since, missed.until) == (2.0, 2.0)
    assert missed.reason == "1 connections ended that began unheard"


def test_a_socket_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    """Also one to which nobody listens."""
    path = tmp_path / "events.sock"
    source = TcpInfo(path, frozenset(), None)
    source.hear(1.0)
    remedy = "start tcp-info, or correct the Agent's eventSocket"
    assert source.trouble == f"{path}: No such file or directory; {remedy}"
    path.touch()
    source.hear(9.0)
    assert source.trouble == f"{path}: Connection refused; {remedy}"
