"""Health and metrics over HTTP."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from anabranch_agent.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry


@dataclass(frozen=True)
class Health:
    """The answers about the agent's health; each says what is wrong, or nothing."""

    find_sickness: Callable[[], str]
    """Why the process should be started again."""
    find_unreadiness: Callable[[], str]
    """Why it can't probe now."""
    registry: CollectorRegistry


@contextlib.contextmanager
def serve(health: Health, address: str, port: int) -> Iterator[None]:
    """Serve health and metrics in threads, which answer even if all else hangs.

    Raises:
        ConfigError: When the port is taken, or the address is not of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._tell(health.find_sickness())
                case "/readyz":
                    self._tell(health.find_unreadiness())
                case "/metrics":
                    text = generate_latest(health.registry)
                    self._answer(HTTPStatus.OK, text, CONTENT_TYPE_LATEST)
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

        def _tell(self, wrong: str) -> None:
            if wrong:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{wrong}\n".encode())
            else:
                self._answer(HTTPStatus.OK, b"ok\n")

        def _answer(
            self, status: HTTPStatus, text: bytes, content: str = "text/plain"
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing, since requests come every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ip_address(address).version == 6 else AF_INET  # noqa: PLR2004
        daemon_threads = True

    try:
        opened = Server((address, port), Handler)
    except OSError as error:
        message = (
            f"can't serve health at {address}:{port}: {error}; stop the program "
            "that uses the port, or set another in agents.healthPort of the operator"
        )
        raise ConfigError(message) from error
    with opened as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
