"""The store, as one Round uses it."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from anabranch_engine import Part

from anabranch_agent.parts import TAIL_BYTES, Stored, sum_parts
from anabranch_agent.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from anabranch.api.round import PlanRef
    from anabranch.store.keys import StepKeys
    from anabranch.store.store import Store
    from anabranch_agent.parts import Waiting

_Result = TypeVar("_Result")
_READERS = 8
"""Parts that are looked at together after a start."""


class StoreAwayError(Exception):
    """The store does not do what it should; it may later."""


class PlanMismatchError(Exception):
    """The plan is not the one that the Round means."""


class PlanUnusableError(Exception):
    """The plan can't be probed."""


class PartsBrokenError(Exception):
    """The parts in the store do not follow one another."""


class OvertakenError(Exception):
    """Parts here do not go on where those in the store end; those count."""


@dataclass
class Depot:
    """Where a step's plan comes from, and its parts go to."""

    store: Store
    keys: StepKeys
    patience: float
    """How long the store may take, in seconds, before it is told to be slow."""
    measure: Callable[[str], AbstractContextManager[None]]
    """Counts a call, of this name, that lasts as long as a ``with`` does."""
    is_slow: bool = False

    async def fetch_plan(self, plan: PlanRef, folder: Path) -> Path:
        """The plan's file, a copy in a folder.

        Raises:
            PlanMismatchError: When it is another one.
            StoreAwayError: When it can't be had now.
        """

        def fetch() -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            file = self.store.fetch(plan.key, folder)
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            if f"sha256:{digest}" != plan.digest:
                raise PlanMismatchError(
                    f"{plan.key} has the digest sha256:{digest}, not {plan.digest}"
                )
            return file

        return await self._call("plan", fetch)

    async def survey(self) -> Stored:
        """What is stored of the step.

        Raises:
            PartsBrokenError: When a part is missing between others.
            StoreAwayError: When the store can't tell now.
        """

        def survey() -> Stored:
            keys = sorted(
                key
                for key in self.store.list(self.keys.replies)
                if key.endswith(".parquet")
            )
            with ThreadPoolExecutor(_READERS) as readers:
                try:
                    return sum_parts(readers.map(self._read, keys))
                except ValueError as error:
                    raise PartsBrokenError(str(error)) from error

        return await self._call("survey", survey)

    async def put(self, waiting: Waiting) -> bool:
        """Puts a part there; False if there is one of the same range.

        Raises:
            OvertakenError: When another one is there.
            StoreAwayError: When it can't be put now.
        """
        key = f"{self.keys.parts(waiting.block)}/{waiting.file.name}"

        def put() -> bool:
            if self.store.put_file(key, waiting.file):
                return True
            own, other = read_part(waiting.file), self._read(key)
            if own.end != other.end:
                raise OvertakenError(
                    f"{key} is there and ends with slot {other.end}, not {own.end}"
                )
            return False

        return await self._call("part", put)

    def _read(self, key: str) -> Part:
        return Part.read(self.store.tail(key, TAIL_BYTES))

    async def _call(self, name: str, call: Callable[[], _Result]) -> _Result:
        """A call of the store, in a thread; tells when it takes long."""
        task = asyncio.ensure_future(in_thread(call))
        try:
            with self.measure(name):
                done, _ = await asyncio.wait({task}, timeout=self.patience)
                self.is_slow = not done
                return await task
        except OSError as error:
            raise StoreAwayError(str(error)) from error
        finally:
            self.is_slow = False


def read_part(file: Path) -> Part:
    """What a part in a folder says of itself.

    Raises:
        OvertakenError: When it is damaged: what it held is probed again.
    """
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL_BYTES))
        try:
            return Part.read(opened.read())
        except ValueError as error:
            raise OvertakenError(f"{file}: {error}") from error
