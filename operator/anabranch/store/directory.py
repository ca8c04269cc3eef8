"""A store in a directory."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
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

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Return the path of an object, whether it exists or not."""
        return self.root / key

    def put(self, key: str, content: bytes) -> bool:
        """Put an object atomically; return False if the key has one already."""
        with self._draft(key) as draft:
            draft.write_bytes(content)
            return self._publish(draft, key)

    def put_file(self, key: str, file: Path) -> bool:
        """Put a file's content; link the file if it is on the same file system."""
        if file.stat().st_dev != self._folder(key).stat().st_dev:
            return self.put(key, file.read_bytes())
        return self._publish(file, key)

    def get(self, key: str) -> bytes:
        """Return the content of an object."""
        return self.path(key).read_bytes()

    def tail(self, key: str, count: int) -> bytes:
        """Return the last ``count`` bytes of an object."""
        with self.path(key).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - count, 0))
            return file.read()

    def find_stamp(self, key: str) -> str:
        """Return which file it is, its size, and when it was changed."""
        found = self.path(key).stat()
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def fetch(self, key: str, folder: Path) -> Path:  # noqa: ARG002 (it is here)
        """Return the path of the object's own file."""
        path = self.path(key)
        path.stat()
        return path

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, in order."""
        found: list[str] = []
        for folder, _, files in os.walk(self.path(prefix), onerror=_refuse):
            here = Path(folder).relative_to(self.root)
            whole = (name for name in files if not name.startswith(_UNFINISHED))
            found += (str(here / name) for name in whole)
        return iter(sorted(found))

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, in order."""
        try:
            found = sorted(
                each.name for each in self.path(prefix).iterdir() if each.is_dir()
            )
        except FileNotFoundError:
            return
        yield from found

    def remove(self, prefix: str) -> None:
        """Remove all objects below a folder, if there are any."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path(prefix))

    def read_sql(self, pattern: str) -> str:
        """Return a call of ClickHouse's ``file`` table function."""
        quoted = str(self.root).replace("\\", "\\\\").replace("'", "\\'")
        return f"file('{quoted}/{pattern}', 'Parquet')"

    def _folder(self, key: str) -> Path:
        folder = self.path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _draft(self, key: str) -> Iterator[Path]:
        """Yield a new file in the object's folder, and remove it afterwards."""
        number, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._folder(key))
        os.fchmod(number, _READABLE)
        os.close(number)
        try:
            yield Path(name)
        finally:
            Path(name).unlink()

    def _publish(self, file: Path, key: str) -> bool:
        """Sync a file, and link it to its key; return False if that exists."""
        with file.open("rb") as written:
            os.fsync(written.fileno())
        target = self.path(key)
        try:
            # Unlike a rename, a link never replaces a file.
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
    """Raise the error of a folder that can't be listed, unless it is missing."""
    if not isinstance(error, FileNotFoundError):
        raise error
