"""What every store can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Store(Protocol):
    """Objects by keys such as ``a/b/c``. What is there is never changed.

    Errors of the system below are ``OSError``.
    """

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object there, whole; False if there is one, which stays."""

    def put_file(self, key: str, file: Path) -> bool:
        """The same with a file's content; the file may be moved there."""

    def get(self, key: str) -> bytes:
        """An object's content.

        Raises:
            FileNotFoundError: When there is none.
        """

    def tail(self, key: str, count: int) -> bytes:
        """The last so many bytes of an object, or all of a shorter one.

        Raises:
            FileNotFoundError: When there is none.
        """

    def fetch(self, key: str, folder: Path) -> Path:
        """An object as a file: its own, or a copy in a folder.

        Raises:
            FileNotFoundError: When there is none.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below a folder, in order."""

    def read_sql(self, pattern: str) -> str:
        """What ClickHouse's SQL calls the rows of Parquet objects.

        The pattern is a key, with ``*`` for anything within a folder's name.
        """
