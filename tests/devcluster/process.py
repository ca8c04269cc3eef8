"""Programs that run as long as they are needed."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
PATIENCE = 10.0
"""How much longer than an idle machine a busy one may take."""


@contextlib.contextmanager
def run_program(
    command: list[str], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program, with its output in a file."""
    # The kernel ends the program even where this process is killed.
    bound = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    with log.open("wb") as out:
        process = subprocess.Popen(bound, stdout=out, stderr=out, env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def find_free_ports(count: int) -> list[int]:
    """Ports of loopback where nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until(what: str, holds: Callable[[], bool], seconds: float) -> None:
    """Waits until something holds, which takes an idle machine so long at most.

    Raises:
        TimeoutError: When it does not, ``PATIENCE`` times as long.
    """
    deadline = time.monotonic() + PATIENCE * seconds
    while not holds():
        if time.monotonic() > deadline:
            message = f"waited {PATIENCE * seconds:g} s for {what}"
            raise TimeoutError(message)
        time.sleep(_POLL_SECONDS)


def run_tool(*command: str | Path, stdin: str | None = None) -> str:
    """What a program writes that ends by itself.

    Raises:
        RuntimeError: With its words, when it fails or isn't there.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, check=False, text=True
        )
    except FileNotFoundError:
        raise RuntimeError(
            f"{words[0]} is missing: run sh .ci/prerequisites cluster"
        ) from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise RuntimeError(f"{' '.join(words)}: {said or done.returncode}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a program that ends by itself says that all is well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def pipe_tool(*command: str, write: Callable[[IO[bytes]], None]) -> None:
    """Runs a program that reads what is written for it.

    Raises:
        RuntimeError: With its words, when it fails.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            write(stdin)
        said = process.stdout.read().decode()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.strip()}")


def tell(what: str) -> None:
    """Says what takes long: minutes of silence would look like a hang."""
    print(what, file=sys.stderr, flush=True)  # noqa: T201 (it is for people)
