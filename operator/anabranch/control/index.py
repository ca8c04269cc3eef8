"""An index of objects, which watches keep up to date.

kopf's own indices take a time at the start that grows with the square of the number of
objects: with some thousands of them, minutes in which not even the Lease is renewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Value = TypeVar("Value")
Key = tuple[str, str]


class Index(Mapping[Key, "Collection[Value]"]):
    """What is kept of objects, by keys that several objects may share.

    An object has one value, under any number of keys.
    """

    def __init__(self) -> None:
        self._values: dict[Key, dict[str, Value]] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}
        """The keys of each object, by its UID."""

    def __getitem__(self, key: Key) -> Collection[Value]:
        return self._values[key].values()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def replace(self, uid: str, entries: Mapping[Key, Value]) -> None:
        """Keep these values of an object, instead of those that it had."""
        for key in self._keys.get(uid, ()):
            if key not in entries:
                self._drop(key, uid)
        for key, value in entries.items():
            self._values.setdefault(key, {})[uid] = value
        self._keys[uid] = tuple(entries)

    def discard(self, uid: str) -> None:
        """Forget an object, if it is known."""
        for key in self._keys.pop(uid, ()):
            self._drop(key, uid)

    def _drop(self, key: Key, uid: str) -> None:
        values = self._values[key]
        del values[uid]
        if not values:
            del self._values[key]
