"""Traces in a terminal: hops appear as replies come; plain text elsewhere."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from anabranch.local.tracehops import gather_hops
from anabranch.local.tracetext import draw_hops

if TYPE_CHECKING:
    from typing import Self, TextIO

    from anabranch_engine import Annotations, Probe

    from anabranch.local.tracehops import Address

_REFRESHES_A_SECOND = 8


class TraceDisplay(Protocol):
    """Shows traces while they go on, and what is said of them at their end."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def hear(self, probe: Probe) -> None:
        """Show a probe that was answered."""

    def end(self, destination: Address, text: str) -> None:
        """Show what is said of a trace that has ended."""


def open_trace_display(out: TextIO, known: Annotations | None) -> TraceDisplay:
    """Return the display that suits an output; ``known`` is about addresses."""
    console = Console(file=out, highlight=False)
    return _Terminal(console, known) if console.is_terminal else _Plain(out)


class _Terminal:
    def __init__(self, console: Console, known: Annotations | None) -> None:
        self._console = console
        self._known = known
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            refresh_per_second=_REFRESHES_A_SECOND,
            transient=True,
            vertical_overflow="crop",
        )
        self._heard: dict[Address, list[Probe]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def hear(self, probe: Probe) -> None:
        self._heard[probe.destination].append(probe)

    def end(self, destination: Address, text: str) -> None:
        self._heard.pop(destination, None)
        self._console.print(Text(text))

    def _draw(self) -> Text:
        """Draw the trace that began first of those that go on."""
        for destination, probes in list(self._heard.items()):
            lines = draw_hops(gather_hops(list(probes)), {}, self._known)
            # The last hops are those that change.
            lines = lines[-max(self._console.height - 3, 1) :]
            return Text("\n".join([f"tracing {destination}", *lines]))
        return Text("tracing")


class _Plain:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()

    def hear(self, probe: Probe) -> None:
        pass

    def end(self, destination: Address, text: str) -> None:  # noqa: ARG002 (a protocol's)
        print(text, file=self._out, flush=True)
