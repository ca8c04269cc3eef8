"""The engine inside of this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest

from anabranch.warehouse.addresses import as_text
from anabranch.warehouse.embedded import open_embedded
from anabranch.warehouse.engine import QueryError

if TYPE_CHECKING:
    from pathlib import Path

FILL = """
import sys
from pathlib import Path
from anabranch.warehouse.embedded import open_embedded
try:
    open_embedded().write("SELECT rand64() FROM numbers(300000)", Path(sys.argv[1]))
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """ClickHouse itself leaves half a file, and says nothing."""
    script = 'mount -t tmpfs -o size=500k none "$0" && exec "$1" -c "$2" "$0/rows"'
    words = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(
        [*words, str(tmp_path), sys.executable, FILL],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("No space left on device: free some")


KILLED = """
import os, signal, sys
from pathlib import Path
from anabranch.warehouse.embedded import open_embedded
engine = open_embedded(scratch=Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_files_only_where_it_was_told(tmp_path: Path) -> None:
    """Whatever characters the folder has in its name."""
    scratch, others = tmp_path / "run's & scratch?", tmp_path / "others"
    for folder in (scratch, others):
        folder.mkdir()
    words = [sys.executable, "-c", KILLED, str(scratch)]
    done = subprocess.run(
        words, env=os.environ | {"TMPDIR": str(others)}, check=False, timeout=600
    )
    assert done.returncode == -signal.SIGKILL
    assert list(scratch.iterdir())
    assert not list(others.iterdir())


def test_a_query_that_fails_is_told_in_a_line() -> None:
    """Whether it is read or streamed."""
    engine = open_embedded()
    with pytest.raises(QueryError) as told:
        engine.read("SELECT nothing FROM numbers(3)")
    assert "\n" not in str(told.value)
    with pytest.raises(QueryError):
        list(engine.stream("SELECT nothing FROM numbers(3)", "CSV"))


def test_kept_rows_outlive_their_source_and_end_with_their_context(
    tmp_path: Path,
) -> None:
    """Those of one engine do not disturb those of another."""
    one, other = open_embedded(), open_embedded()
    source = tmp_path / "rows.parquet"
    one.write("SELECT number FROM numbers(3)", source)
    with (
        one.keep(f"SELECT number FROM file('{source}')") as three,
        other.keep("SELECT number FROM numbers(5)") as five,
    ):
        source.unlink()
        for _ in range(2):
            assert len(one.read(three)) == 3
            assert len(other.read(five)) == 5
    for engine, kept in ((one, three), (other, five)):
        with pytest.raises(QueryError):
            engine.read(kept)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "2001:db8::ffff:1", "2001:db8:0:1::ffff:5", "::1", "64:ff9b::1"],
)
def test_addresses_are_text_as_people_write_it(address: str) -> None:
    """Whatever is inside of them."""
    mapped = f"::ffff:{address}" if "." in address else address
    packed = f"unhex('{IPv6Address(mapped).packed.hex()}')"
    query = f"SELECT {as_text(packed)} AS text"
    assert open_embedded().read(query).to_pylist() == [{"text": address}]
