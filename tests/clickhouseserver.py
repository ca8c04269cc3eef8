"""ClickHouse's engine (chdb) behind its HTTP interface, on loopback.

What it takes of a request, and how errors look, is as ClickHouse's documentation of the
HTTP interface has it. Its tables are in a folder, and outlive it.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import chdb

from anabranch.warehouse import environment
from devcluster.process import find_free_ports, run_program, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from chdb.state.sqlitelike import Connection

USER, PASSWORD = "surveyor", "its-password"
START_SECONDS = 30.0
_OF_HTTP = {
    *("query", "database", "default_format"),
    *("wait_end_of_query", "enable_http_compression"),
}
_CODE = re.compile(r"Code: (\d+)\. DB::Exception")
_STATUS = {60: 404, 62: 400, 81: 404, 516: 403}
"""By code; others are 500."""


@dataclass
class Server:
    """A server that runs, or is to run again."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells a Job of it."""
        return {
            environment.URL: self.url,
            environment.USER: USER,
            environment.PASSWORD: PASSWORD,
        }

    @property
    def queries(self) -> list[str]:
        """The statements that were asked for, each as one line."""
        return (self.folder / "queries").read_text().splitlines()

    def kill(self) -> None:
        """Ends it as a power cut does."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def run_clickhouse(folder: Path, port: int = 0) -> Iterator[Server]:
    """Runs a server over a folder, on a port of its own unless one is given."""
    folder.mkdir(exist_ok=True)
    chosen = port or find_free_ports(1)[0]
    (folder / "ready").unlink(missing_ok=True)
    words = [sys.executable, __file__, str(folder), str(chosen)]
    with run_program(words, folder / "server.log") as process:

        def is_ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError((folder / "server.log").read_text()[-2000:])
            return (folder / "ready").exists()

        wait_until("the server", is_ready, START_SECONDS)
        yield Server(chosen, folder, process)


class Handler(BaseHTTPRequestHandler):
    """Answers requests, with one query at a time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    connection_of_engine: Connection
    queries: Path
    lock = threading.Lock()

    def do_POST(self) -> None:
        """Runs the query that is in the URL and in the body, one behind the other."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._read_chunks()
        address = urlsplit(self.path)
        given = dict(parse_qsl(address.query, keep_blank_values=True))
        query = "\n".join(filter(None, [given.get("query"), body.decode()]))
        if not self._is_known():
            said = (
                "Code: 516. DB::Exception: Authentication failed: password is "
                "incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
            )
            self._answer(said.encode(), 516)
            return
        settings = {k: v for k, v in given.items() if k not in _OF_HTTP}
        output_format = given.get("default_format", "TabSeparated")
        with self.lock:
            with self.queries.open("a") as log:
                log.write(" ".join(query.split()) + "\n")
            try:
                rows = self._run(query, given["database"], settings, output_format)
            except RuntimeError as error:
                said = str(error)
                found = _CODE.search(said)
                self._answer(said.encode(), int(found[1]) if found else 1000)
                return
        self._answer(rows)

    def log_message(self, *words: object) -> None:
        """The log is of what goes wrong."""

    def _run(
        self, query: str, database: str, settings: dict[str, str], output_format: str
    ) -> bytes:
        engine = self.connection_of_engine
        engine.query(f"USE `{database}`")
        done = []
        try:
            for name, value in settings.items():
                engine.query(f"SET `{name}` = '{value}'")
                done.append(name)
            rows: bytes = engine.query(query, output_format).bytes()
        finally:
            for name in done:
                engine.query(f"SET `{name}` = DEFAULT")
        return rows

    def _is_known(self) -> bool:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _read_chunks(self) -> bytes:
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, body: bytes, code: int = 0) -> None:
        self.send_response(_STATUS.get(code, 500) if code else 200)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(folder: Path, port: int) -> None:
    """Serves until it is ended."""
    Handler.connection_of_engine = chdb.connect(str(folder / "data"))
    Handler.queries = folder / "queries"
    Handler.queries.touch()
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    (folder / "ready").touch()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
