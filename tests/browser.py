"""Pages in a real browser, which is Chromium without a window."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Browser:
    """A page of a browser, by the DevTools protocol over pipes."""

    asks: IO[bytes]
    answers: IO[bytes]
    session: str | None = None
    complaints: list[str] = field(default_factory=list)
    """What the console shows, exceptions, and what the page's policy forbids."""
    fetched: list[str] = field(default_factory=list)
    """The URLs that were asked for."""
    _count: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method, and waits for its result."""
        self._count += 1
        asked: dict[str, Any] = {
            "id": self._count,
            "method": method,
            "params": params,
        }
        if self.session:
            asked["sessionId"] = self.session
        self.asks.write(json.dumps(asked).encode() + b"\0")
        self.asks.flush()
        while (told := self._hear()).get("id") != self._count:
            pass
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    def open(self, url: str, *, scheme: str = "light") -> None:
        """Opens a page, with what its reader prefers, and waits until it is there."""
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=preferred)
        self.call("Page.navigate", url=url)
        while self._hear().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Presses a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key)

    def resize(self, width: int, height: int) -> None:
        """Gives the window another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=False, **size)

    def _hear(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        told: dict[str, Any] = json.loads(text)
        method, params = told.get("method"), told.get("params", {})
        if method in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown"}:
            self.complaints.append(text.decode())
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.fetched.append(params["request"]["url"])
        return told


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, in a folder that is there for it."""
    (hear, ask), (answer, tell) = os.pipe(), os.pipe()
    chromium = [
        *("chromium", "--headless", "--no-sandbox", "--remote-debugging-pipe"),
        *(f"--user-data-dir={folder}", "--disable-gpu", "--disable-dev-shm-usage"),
        "--hide-scrollbars",
    ]
    # The protocol's pipes are file descriptors 3 and 4.
    script = f'exec "$@" 3<&{hear} 4>&{tell}'
    browser = subprocess.Popen(
        ["bash", "-c", script, "-", *chromium],
        pass_fds=(hear, tell),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(hear)
    os.close(tell)
    with os.fdopen(ask, "wb") as asks, os.fdopen(answer, "rb") as answers:
        page = Browser(asks, answers)
        try:
            target = page.call("Target.createTarget", url="about:blank")
            attached = page.call(
                "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            page.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.call(f"{domain}.enable")
            yield page
        finally:
            # The processes that it has started end with it.
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
