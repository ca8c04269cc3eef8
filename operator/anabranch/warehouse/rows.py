"""Write the rows of a SELECT to a file, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch.warehouse.engine import Engine


def write_rows(engine: Engine, query: str, output_format: str, file: Path) -> None:
    """Write the rows of a SELECT to a new file, as parquet, jsonl or csv.

    Raises:
        OSError: If the file can't be written.
        QueryError: If ClickHouse fails.
    """
    if output_format == "parquet":
        engine.write(query, file)
        return
    with file.open("xb") as out:
        if output_format == "jsonl":
            out.writelines(engine.stream(query, "JSONEachRow"))
            return
        names = engine.read(f"SELECT * FROM ({query}) LIMIT 0").column_names
        out.write((",".join(f'"{name}"' for name in names) + "\n").encode())
        out.writelines(engine.stream(query, "CSV"))
