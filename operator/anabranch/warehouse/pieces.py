"""Cut blocks into pieces that fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.warehouse.queries import Piece

if TYPE_CHECKING:
    from anabranch.warehouse.engine import Engine

PIECE_ROWS = 1 << 23
"""The most rows of a piece; ClickHouse takes about 200 bytes of memory for each."""


def cut(engine: Engine, rows: str, piece_rows: int) -> list[Piece]:
    """Cut a block into pieces of about ``piece_rows`` rows at most."""
    counted = engine.read(f"SELECT count() AS rows FROM {rows}").to_pylist()
    pieces = max(-(-counted[0]["rows"] // piece_rows), 1)
    return [Piece(number, pieces) for number in range(pieces)]
