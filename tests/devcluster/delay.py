"""`python delay.py LISTEN TARGET SECONDS`: a slow way to a TCP server."""

from __future__ import annotations

import asyncio
import contextlib
import sys


class Slow:
    """A way to a server on which everything takes some time more, both ways."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self._target = (host, port)
        self._seconds = seconds

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connects a client with the server until both have said all."""
        with contextlib.closing(writer):
            there, back = await asyncio.open_connection(*self._target)
            with contextlib.closing(back):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._carry(reader, back))
                        tasks.create_task(self._carry(there, writer))
                except* ConnectionError:
                    pass  # Who hangs up without a word ends it for both.

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hands over what comes, in order, each piece when its time has come."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def take() -> None:
            while True:
                piece = await reader.read(1 << 16)
                await waiting.put((loop.time() + self._seconds, piece))
                if not piece:
                    return

        async def give() -> None:
            while True:
                due, piece = await waiting.get()
                await asyncio.sleep(due - loop.time())
                if not piece:
                    writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take())
            tasks.create_task(give())


async def main(listen: str, target: str, seconds: str) -> None:
    """Serves until it is killed."""
    host, _, port = target.rpartition(":")
    slow = Slow(host, int(port), float(seconds))
    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(slow.serve, host, int(port))
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
