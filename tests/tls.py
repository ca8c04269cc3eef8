"""TLS before a server of this machine, with a certificate of a CA that nobody knows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.pki import Authority
from devcluster.process import find_free_ports, run_program, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
START_SECONDS = 30.0
_BYTES = 1 << 16


def found_authority(folder: Path) -> Authority:
    """A CA, with a certificate for loopback."""
    authority = Authority(folder)
    authority.create()
    authority.issue("server", "server", addresses=(IPv4Address(HOST),))
    return authority


@contextlib.contextmanager
def run_tls(authority: Authority, port: int) -> Iterator[int]:
    """Takes TLS to a port of loopback; gives the one where it is taken."""
    (taken,) = find_free_ports(1)
    words = [sys.executable, __file__, str(authority.folder), str(taken), str(port)]
    log = authority.folder / f"{taken}.log"
    with run_program(words, log) as process:

        def listens() -> bool:
            if process.poll() is not None:
                raise RuntimeError(log.read_text()[-2000:])
            with socket.socket() as client:
                return client.connect_ex((HOST, taken)) == 0

        wait_until("TLS", listens, START_SECONDS)
        yield taken


async def serve(folder: Path, taken: int, port: int) -> None:
    """Carries what comes by TLS to a port, until it is ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(_carry(reader, outer), _carry(inner, writer))

    server = await asyncio.start_server(take, HOST, taken, ssl=context)
    await server.serve_forever()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), *map(int, sys.argv[2:])))
