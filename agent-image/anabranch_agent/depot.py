"""Access to the store for one Round."""

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
"""How many parts are read at the same time after a start."""


class StoreAwayError(Exception):
    """A failure of the store that may be over later."""


class PlanMismatchError(Exception):
    """A plan that is not the one that the Round names."""


class PlanUnusableError(Exception):
    """A plan that can't be probed."""


class PartsBrokenError(Exception):
    """Parts in the store that do not follow one another."""


class OvertakenError(Exception):
    """Local parts that do not continue those in the store; the stored ones count."""


@dataclass(frozen=True)
class HandOut:
    """The blocks of a team's plan that a Round probes."""

    number: int
    blocks: tuple[int, ...]


@dataclass
class Depot:
    """The place that a step's plan comes from, and that its parts go to."""

    store: Store
    keys: StepKeys
    patience: float
    """How long the store may take, in seconds, before it is reported as slow."""
    measure: Callable[[str], AbstractContextManager[None]]
    """Measures a call of a name, which lasts as long as the ``with`` block."""
    hand_out: HandOut | None = None
    """The blocks that count; None for all of the step."""
    is_slow: bool = False

    async def fetch_plan(self, plan: PlanRef, folder: Path) -> Path:
        """Fetch a copy of the plan into a folder; return its file.

        Raises:
            PlanMismatchError: When the plan has another digest.
            StoreAwayError: When the store fails now.
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
        """Return what is stored of the step, or of the hand-out.

        Raises:
            PartsBrokenError: When a part is missing between others.
            StoreAwayError: When the store fails now.
        """

        def survey() -> Stored:
            folders = [self.keys.replies]
            if given := self.hand_out:
                folders = [self.keys.parts(block) for block in given.blocks]
            number = given.number if given else None
            with ThreadPoolExecutor(_READERS) as readers:
                found = readers.map(
                    lambda folder: list(self.store.list(folder)), folders
                )
                keys = sorted(
                    key for each in found for key in each if key.endswith(".parquet")
                )
                try:
                    return sum_parts(readers.map(self._read, keys), number)
                except ValueError as error:
                    raise PartsBrokenError(str(error)) from error

        return await self._call("survey", survey)

    async def put(self, waiting: Waiting) -> bool:
        """Store a part; return False if one of the same range is stored already.

        Raises:
            OvertakenError: When a part of another range is stored there.
            StoreAwayError: When the store fails now.
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
        """Call the store in a thread; set ``is_slow`` while the call takes long."""
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
    """Read what a part in a folder says of itself.

    Raises:
        OvertakenError: When the part is damaged; what it held is probed again.
    """
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL_BYTES))
        try:
            return Part.read(opened.read())
        except ValueError as error:
            raise OvertakenError(f"{file}: {error}") from error
