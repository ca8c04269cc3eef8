"""The interface of every store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class StoredObject:
    """What a store says of an object."""

    key: str
    size: int
    """Its bytes."""
    modified: datetime
    """When it was put."""


class Store(Protocol):
    """A store of objects by keys such as ``a/b/c``. Objects never change.

    They stay until a whole folder of them is removed. Only users may replace what they
    put there themselves.

    Methods raise ``OSError`` for errors of the disk or the network. Its text says where
    it is.
    """

    def put(self, key: str, content: bytes) -> bool:
        """Put an object atomically; return False if the key has one already."""

    def put_file(self, key: str, file: Path) -> bool:
        """Put a file's content; do not change the file, since the store may link it."""

    def get(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            FileNotFoundError: If there is no such object.
        """

    def tail(self, key: str, count: int) -> bytes:
        """Return the last ``count`` bytes of an object, or all of a shorter one.

        Raises:
            FileNotFoundError: If there is no such object.
        """

    def find_stamp(self, key: str) -> str:
        """Return a text that differs once a user has replaced an object of theirs.

        Raises:
            FileNotFoundError: If there is no such object.
        """

    def fetch(self, key: str, folder: Path) -> Path:
        """Return the path of a file with the object: its own, or a copy in the folder.

        Raises:
            FileNotFoundError: If there is no such object.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, in order."""

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what is known of the objects below a folder, in the order of keys."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, in order."""

    def remove(self, prefix: str) -> None:
        """Remove all objects below a folder, if there are any.

        The folder that it is in goes too, if nothing else is in it.
        """

    def read_sql(self, pattern: str) -> str:
        """Return the SQL expression by which ClickHouse reads Parquet objects.

        The pattern is a key, in which ``*`` matches anything except a slash.
        """
