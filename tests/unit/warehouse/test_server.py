"""The engine that asks a server."""

from __future__ import annotations

import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from anabranch.warehouse.embedded import EmbeddedEngine, open_embedded
from anabranch.warehouse.engine import (
    ENCODES_ARROW_IN_PARALLEL,
    QueryError,
    ServerAwayError,
    tell,
)
from anabranch.warehouse.environment import (
    CLUSTER,
    DATABASE,
    URL,
    USER,
    open_warehouse,
)
from anabranch.warehouse.server import ServerEngine
from clickhouseserver import PASSWORD
from clickhouseserver import USER as THE_USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anabranch.warehouse.engine import Engine
    from clickhouseserver import Server
    from devcluster.s3 import S3

ROWS = """
    SELECT toUInt8(number) AS small, toUInt64(number) AS large,
        toFixedString(unhex('20010db8000000000000000000000001'), 16) AS address,
        toString(number) AS text, number % 2 = 0 AS is_even,
        if(number > 1, number, NULL) AS perhaps
    FROM numbers(3) ORDER BY number
"""


def ask(url: str, user: str = "", password: str = "") -> None:
    """Asks a server for as little as can be."""
    with closing(ServerEngine(url, user, password)) as engine:
        engine.read("SELECT 1")


def test_both_engines_give_the_same_rows(engine: ServerEngine, tmp_path: Path) -> None:
    """Of the same types, as tables, as Parquet and as text."""
    tables, files, texts = [], [], []
    both: tuple[Engine, ...] = (open_embedded(), engine)
    for number, each in enumerate(both):
        tables.append(each.read(ROWS))
        file = tmp_path / f"{number}.parquet"
        each.write(ROWS, file)
        files.append(pq.read_table(file))
        column = pq.read_metadata(file).row_group(0).column(0)
        assert column.compression == "ZSTD"
        texts.append(b"".join(each.stream(ROWS, "CSV")))
    assert tables[0] == tables[1]
    assert files[0] == files[1]
    assert texts[0] == texts[1] != b""


def test_one_thread_encodes_arrow(engine: ServerEngine) -> None:
    """Several threads wait for one another for ever, once in some hundred queries."""
    query = f"SELECT getSetting('{ENCODES_ARROW_IN_PARALLEL}') AS is_on"
    for each in (open_embedded(max_threads=4), engine):
        assert each.read(query).to_pylist() == [{"is_on": False}]


def test_a_query_goes_where_nobody_logs_it(
    engine: ServerEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the store's credentials in it; what is logged is the URL."""
    with caplog.at_level("DEBUG"):
        engine.read("SELECT 'its-secret' AS word")
    assert "wait_end_of_query" in caplog.text
    assert "its-secret" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_query_that_fails_is_told_in_a_line(engine: ServerEngine) -> None:
    """Whatever is asked for, and after rows were on their way."""
    for query in (
        "SELECT nothing FROM numbers(3)",
        "SELECT throwIf(number = 200000) FROM numbers(300000)",
    ):
        with pytest.raises(QueryError, match=r"^Code: \d+\. DB::Exception: ") as told:
            engine.read(query)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["embedded", "server"])
@pytest.mark.parametrize("end", ["", " SELEC", " WHERE nothing"])
def test_no_error_shows_what_opens_the_store(
    kind: str, end: str, engine: ServerEngine, s3: S3
) -> None:
    """ClickHouse shows what it does not understand as it is."""
    url = f"{s3.url}/{s3.bucket}/nothing/*"
    query = f"SELECT * FROM s3('{url}', 'its-id', 'it\\'s-secret', 'Parquet'){end}"
    asked: Engine = open_embedded() if kind == "embedded" else engine
    with pytest.raises(QueryError) as told:
        asked.read(query)
    assert "s-secret" not in str(told.value)


def test_secrets_are_hidden_wherever_they_stand() -> None:
    """A secret key, and the token of a role; what a query is for is still told."""
    query = "SELECT 1 FROM s3('http://s3/b/k', 'id', 'key\\'1', 'token', 'Parquet')"
    assert tell(f"Syntax error: {query}\nStack", query) == (
        "Syntax error: SELECT 1 FROM s3('http://s3/b/k', 'id', '[HIDDEN]', "
        "'[HIDDEN]', 'Parquet')"
    )
    public = "SELECT 1 FROM s3('http://s3/b/k', NOSIGN, 'Parquet')"
    assert tell(f"Syntax error: {public}", public) == f"Syntax error: {public}"


def test_a_wrong_password_is_told_without_it(clickhouse: Server) -> None:
    """The user has to be corrected: asking again is of no use at once."""
    for user, password in ((THE_USER, "another"), ("", "")):
        with pytest.raises(QueryError, match="Authentication failed") as told:
            ask(clickhouse.url, user, password)
        assert "another" not in str(told.value)


def test_a_server_that_is_away_is_to_be_asked_again() -> None:
    """With where it was looked for."""
    with pytest.raises(ServerAwayError, match=r"reached at http://127\.0\.0\.1:9: "):
        ask("http://127.0.0.1:9")


class Answer(BaseHTTPRequestHandler):
    """Answers as the path says: a status, and a code of ClickHouse's behind it."""

    def do_POST(self) -> None:
        """Answers."""
        status, _, code = self.path.strip("/").partition("/")[0].partition("-")
        self.send_response(int(status))
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(b"what it says\nand more")

    def log_message(self, *words: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def answering() -> Iterator[str]:
    """The URL of what answers."""
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("answer", ["502", "503", "500-202", "500-999", "500-242"])
def test_what_passes_by_itself_is_to_be_asked_again(
    answer: str, answering: str
) -> None:
    """A proxy without its server, too many queries, and a cluster without Keeper."""
    with pytest.raises(ServerAwayError, match=r"answers 50|what it says$"):
        ask(f"{answering}/{answer}")


@pytest.mark.parametrize(
    ("answer", "said"),
    [("500-241", "^what it says$"), ("404", "not as ClickHouse does: what it says")],
)
def test_what_does_not_pass_is_an_error(answer: str, said: str, answering: str) -> None:
    """Memory that is too small for a query, and a URL of something else."""
    with pytest.raises(QueryError, match=said):
        ask(f"{answering}/{answer}")


def test_without_a_url_queries_are_run_here() -> None:
    """And there are no tables."""
    with open_warehouse({URL: "", USER: "me"}) as warehouse:
        assert isinstance(warehouse.engine, EmbeddedEngine)
        assert warehouse.tables is None


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        (URL, "clickhouse:8123", "is no URL such as http://clickhouse:8123"),
        (URL, "http://me:its-secret@clickhouse", f"password belong into {USER}"),
        (DATABASE, "a`b", "use letters"),
        (CLUSTER, "a b", "use letters"),
    ],
)
def test_what_can_be_no_server_is_refused(name: str, value: str, remedy: str) -> None:
    """Before anything is asked, and without showing what may be a password."""
    environment = {URL: "http://clickhouse:8123", name: value}
    with pytest.raises(ValueError, match=remedy) as told, open_warehouse(environment):
        pass
    assert "its-secret" not in str(told.value)
