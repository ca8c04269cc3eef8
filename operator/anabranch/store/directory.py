"""A store in a directory."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNFINISHED = ".unfinished-"
_GLOB = frozenset("*?{}")
_READABLE = 0o644


class DirectoryStore:
    """Objects are files; see ``anabranch.store.store.Store``."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        if odd := _GLOB.intersection(str(self.root)):
            wrong = " and ".join(sorted(odd))
            message = f"has {wrong} in its name, which mean more; choose another folder"
            raise OSError(errno.EINVAL, message, str(self.root))

    def path(self, key: str) -> Path:
        """Where an object is, or would be."""
        return self.root / key

    def put(self, key: str, content: bytes) -> bool:
        """Puts an object there, whole; False if there is one, which stays."""
        with self._draft(key) as draft:
            draft.write_bytes(content)
            return self._publish(draft, key)

    def put_file(self, key: str, file: Path) -> bool:
        """The same with a file's content; one of the same file system is linked."""
        if file.stat().st_dev != self._folder(key).stat().st_dev:
            return self.put(key, file.read_bytes())
        return self._publish(file, key)

    def get(self, key: str) -> bytes:
        """An object's content."""
        return self.path(key).read_bytes()

    def tail(self, key: str, count: int) -> bytes:
        """The last bytes of an object."""
        with self.path(key).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - count, 0))
            return file.read()

    def fetch(self, key: str, folder: Path) -> Path:  # noqa: ARG002 (it is here)
        """An object's own file."""
        path = self.path(key)
        path.stat()
        return path

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below a folder, in order."""
        found: list[str] = []
        for folder, _, files in os.walk(self.path(prefix), onerror=_refuse):
            here = Path(folder).relative_to(self.root)
            whole = (name for name in files if not name.startswith(_UNFINISHED))
            found += (str(here / name) for name in whole)
        return iter(sorted(found))

    def read_sql(self, pattern: str) -> str:
        """ClickHouse's ``file``."""
        quoted = str(self.root).replace("\\", "\\\\").replace("'", "\\'")
        return f"file('{quoted}/{pattern}', 'Parquet')"

    def _folder(self, key: str) -> Path:
        folder = self.path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _draft(self, key: str) -> Iterator[Path]:
        """A file that is gone afterwards."""
        number, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._folder(key))
        os.fchmod(number, _READABLE)
        os.close(number)
        try:
            yield Path(name)
        finally:
            Path(name).unlink()

    def _publish(self, file: Path, key: str) -> bool:
        """Links a file to where it is to be, once it is safe on the disk."""
        with file.open("rb") as written:
            os.fsync(written.fileno())
        target = self.path(key)
        try:
            # Unlike a renamed file, a link takes no other one's place.
            target.hardlink_to(file)
        except FileExistsError:
            return False
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True


def _refuse(error: OSError) -> None:
    """Raises when a folder can't be listed; a folder that is missing is empty."""
    if not isinstance(error, FileNotFoundError):
        raise error
