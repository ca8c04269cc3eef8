"""Commands of ours in this process: a process of its own takes seconds to start."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from anabranch.cli import main


def invoke(*words: str, code: int = 0) -> str:
    """What `anabranch` says; errors where it is to fail."""
    out, told = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(told):
        try:
            found: int | str | None = main(list(words))
        except SystemExit as exit_:  # what is no command line
            found = exit_.code
    assert found == code, told.getvalue()
    if code:
        return told.getvalue()
    out.seek(0)
    return out.read()
