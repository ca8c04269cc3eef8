"""The rows of a run's steps in the store, as SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.rounds.tools import Unit, face_of
from anabranch.warehouse.parts import fill, read_steps
from anabranch.warehouse.queries import WHOLE, Piece, Replies
from anabranch.warehouse.traces import choose_answered

if TYPE_CHECKING:
    from anabranch.rounds.outcome import Rules
    from anabranch.rounds.steps import Step
    from anabranch.store.keys import RunKeys
    from anabranch.store.store import Store
    from anabranch.warehouse.engine import Engine


@dataclass(frozen=True)
class RunRows:
    """What of a run's steps is in the store."""

    store: Store
    engine: Engine
    keys: RunKeys
    rules: Rules

    @property
    def are_traced(self) -> bool:
        """Whether the rows are of traces."""
        return face_of(self.rules.tool).unit is Unit.DESTINATION

    def read_plans(self, steps: list[Step]) -> str:
        """Return the SQL for the rows of some steps' plans."""
        plans = ",".join(map(str, steps))
        return self.store.read_sql(f"{self.keys.root}/{{{plans}}}/plan.parquet")

    def read_replies(self, block: int, piece: Piece, steps: list[Step]) -> str | None:
        """Return the SQL for a piece's replies that count, or None without parts."""
        found = self.read_parts(block, steps)
        if found is None:
            return None
        replies = Replies(self.rules.drop_private)
        if self.are_traced:
            return replies.choose_first(choose_answered(found), piece)
        return replies.choose(found, piece)

    def list_rows(self, block: int, steps: list[Step]) -> str:
        """Return the SQL for the rows of a block by which it is cut."""
        if self.are_traced:
            # To leave out further replies to a probe takes memory for all rows.
            return str(self.read_parts(block, steps))
        return f"({self.read_replies(block, WHOLE, steps)})"

    def read_parts(self, block: int, steps: list[Step]) -> str | None:
        """Return the SQL for all replies of a block, or None without parts."""
        return self._read(f"replies/{block:05}/*.parquet", steps)

    def read_links(self, steps: list[Step], block: int | None = None) -> str | None:
        """Return the SQL for the links of a block, or of all, or None without any."""
        return self._read(f"links/{_name(block)}.parquet", steps)

    def read_prefixes(self, steps: list[Step], block: int | None = None) -> str | None:
        """Return the SQL for facts about prefixes, or None without any."""
        return self._read(f"prefixes/{_name(block)}.parquet", steps)

    def _read(self, pattern: str, steps: list[Step]) -> str | None:
        rows = read_steps(self.store, self.keys, pattern, steps)
        return rows and fill(self.engine, rows, pattern.partition("/")[0])


def _name(block: int | None) -> str:
    return "*" if block is None else f"{block:05}-*"
