"""A program that plays M-Lab's uuid-annotator: it tells about addresses."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def play_annotator(
    file: Path, status: int = 200, content: bytes | None = None
) -> Iterator[None]:
    """Answers as uuid-annotator does, or with this status and content."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            addresses = parse_qs(parts.query)["ip"]
            told = {each: {"Network": {"ASName": each}} for each in addresses}
            self.send_response(status if parts.path == "/v1/annotate/ips" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode() if content is None else content)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            pass

    server = socketserver.ThreadingUnixStreamServer(str(file), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
