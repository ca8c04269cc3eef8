"""A store in a directory."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.store.store import StoredObject

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
        yield from map(self._tell_key, _walk(self.path(prefix)))

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what is known of the objects below a folder, in the order of keys."""
        for file in _walk(self.path(prefix)):
            # Others may remove files meanwhile.
            with suppress(FileNotFoundError):
                about = file.stat()
                modified = datetime.fromtimestamp(about.st_mtime, UTC)
                yield StoredObject(self._tell_key(file), about.st_size, modified)

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
        """Remove all objects below a folder, and the one it is in if that is empty."""
        folder = self.path(prefix)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        if folder.parent != self.root:
            with suppress(OSError):
                folder.parent.rmdir()

    def read_sql(self, pattern: str) -> str:
        """Return a call of ClickHouse's ``file`` table function."""
        quoted = str(self.root).replace("\\", "\\\\").replace("'", "\\'")
        return f"file('{quoted}/{pattern}', 'Parquet')"

    def _tell_key(self, file: os.DirEntry[str]) -> str:
        return file.path.removeprefix(f"{self.root}/")

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


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder, in the order of their paths.

    Only the names of the folders on the way to a file are in memory.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=_sort_key)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file() and not entry.name.startswith(_UNFINISHED):
            yield entry


def _sort_key(entry: os.DirEntry[str]) -> str:
    """Return a name that sorts as the paths below a folder do."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
