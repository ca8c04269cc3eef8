"""Runs blocking calls in threads."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


async def in_thread(call: Callable[[], _Result]) -> _Result:
    """Run a call in a thread of its own; return or raise what it does.

    A thread pool would not do: probers run for hours, and a store that hangs must
    neither take the last thread nor delay the end of the process.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_Result] = loop.create_future()

    def settle(result: Callable[[], None]) -> None:
        if not outcome.done():
            result()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            reason = error
            tell = lambda: outcome.set_exception(reason)  # noqa: E731
        else:
            tell = lambda: outcome.set_result(result)  # noqa: E731
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, tell)

    threading.Thread(target=run, daemon=True).start()
    return await outcome
