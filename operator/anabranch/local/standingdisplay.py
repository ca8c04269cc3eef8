"""What is shown of a standing measurement while it goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from anabranch.local.standing import Post

_EVERY_SECONDS = 10.0


@dataclass
class StandingDisplay:
    """A line for each agent, now and then and when something is wrong."""

    tell: Callable[[str], None]
    _shown: dict[str, tuple[float, str]] = field(default_factory=dict)
    """When a line of each agent was shown last, and which trouble it had then."""

    def show(self, posts: list[Post]) -> None:
        """Show what has changed."""
        for post in posts:
            trouble, now = post.trouble, time.monotonic()
            shown, before = self._shown.get(post.name, (0.0, ""))
            if trouble == before and now < shown + _EVERY_SECONDS:
                continue
            self._shown[post.name] = now, trouble
            counts = post.counts
            line = (
                f"{post.name}: {counts.traced:,} traced, {counts.copied:,} copied, "
                f"{counts.waiting:,} waiting, {counts.dropped:,} dropped"
            )
            if counts.unreadable:
                line += f", {counts.unreadable:,} events make no sense"
            self.tell(f"{line}; {trouble}" if trouble else line)
