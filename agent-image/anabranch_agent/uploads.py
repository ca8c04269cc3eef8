"""The upload of a step's parts to the store."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anabranch_agent.depot import OvertakenError, read_part
from anabranch_agent.parts import Totals, find_waiting, is_next

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anabranch_agent.depot import Depot
    from anabranch_agent.parts import Waiting


@dataclass
class Uploads:
    """The upload of parts from a folder to the store, block by block and in order."""

    folder: Path
    depot: Depot
    uploaded: Callable[[], None]
    """Called for each part that is stored."""
    waiting_parts: int = 0
    waiting_bytes: int = 0
    parts: int = 0
    """The number of parts of the step in the store."""
    block: int = 0
    """The block of the last part in the store."""
    ends: dict[int, int] = field(default_factory=dict)
    """The slot after the last stored slot, by block."""

    async def resume(self) -> Totals:
        """Look up what is in the store, then upload what an earlier process left here.

        Raises:
            PartsBrokenError: When the parts in the store do not follow one another.
            OvertakenError: When someone else stores parts too.
            StoreAwayError: When the store fails now.
        """
        totals = await self._survey()
        left = self.look()
        for part in left:
            if is_next(part, self.ends):
                await self._put(part)
            else:
                part.file.unlink()
        return await self._survey() if left else totals

    async def go_on(self) -> None:
        """Upload all parts that are complete by now.

        Raises:
            OvertakenError: When someone else stored other parts.
            StoreAwayError: When the store does not take one now.
        """
        for part in self.look():
            if not is_next(part, self.ends):
                end = self.ends.get(part.block, 0)
                raise OvertakenError(f"{part.file} does not go on at slot {end}")
            await self._put(part)

    def clear(self) -> None:
        """Remove the parts that wait."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.forget()

    def forget(self) -> None:
        """Count no part as waiting, since all are gone."""
        self.waiting_parts = self.waiting_bytes = 0

    def look(self) -> list[Waiting]:
        """Count the parts that wait; return them in the order of their upload."""
        found = find_waiting(self.folder)
        self.waiting_parts = len(found)
        self.waiting_bytes = sum(part.file.stat().st_size for part in found)
        return found

    async def _survey(self) -> Totals:
        stored = await self.depot.survey()
        self.ends, self.parts = dict(stored.ends), stored.parts
        self.block = max(self.ends, default=0)
        return stored.totals

    async def _put(self, part: Waiting) -> None:
        end = read_part(part.file).end
        await self.depot.put(part)
        size = part.file.stat().st_size
        part.file.unlink()
        self.ends[part.block] = end
        self.block = part.block
        self.parts += 1
        self.waiting_parts -= 1
        self.waiting_bytes -= size
        self.uploaded()
