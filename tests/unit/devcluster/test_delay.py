"""A slow way carries everything, later."""

from __future__ import annotations

import asyncio

from devcluster.delay import Slow

SECONDS = 0.2


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in capitals, once all is said."""
    said = await reader.read()
    writer.write(said.upper())
    writer.close()


async def talk(said: bytes) -> tuple[bytes, float]:
    """What a server answers over a slow way, and how long that took."""
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        slow = Slow(host, port, SECONDS)
        async with await asyncio.start_server(slow.serve, "127.0.0.1", 0) as way:
            begin = loop.time()
            host, port = way.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(said)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer, loop.time() - begin


def test_all_arrives_late_by_the_time_there_and_back() -> None:
    """Once for 32 MB, not once a piece; who has said all still hears."""
    answer, took = asyncio.run(talk(b"abcd" * (1 << 23)))
    assert answer == b"ABCD" * (1 << 23)
    # A piece has 64 KiB at most: one after the other, they would take 100 s.
    assert 2 * SECONDS <= took < 2 * SECONDS + 60
