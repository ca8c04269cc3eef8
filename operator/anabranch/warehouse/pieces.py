"""How much is looked at together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.warehouse.queries import Piece

if TYPE_CHECKING:
    from anabranch.warehouse.engine import Engine

PIECE_ROWS = 1 << 23
"""ClickHouse takes some 200 bytes for each."""


def cut(engine: Engine, rows: str, piece_rows: int) -> list[Piece]:
    """Pieces of a block of which so many rows fit into memory."""
    counted = engine.read(f"SELECT count() AS rows FROM {rows}").to_pylist()
    pieces = max(-(-counted[0]["rows"] // piece_rows), 1)
    return [Piece(number, pieces) for number in range(pieces)]
