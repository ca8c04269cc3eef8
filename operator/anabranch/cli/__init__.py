"""The command line: `anabranch` and its commands."""

from __future__ import annotations

import argparse
import contextlib
import sys
from importlib import import_module, metadata
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = (
    *("trace", "init", "validate", "run", "results", "plot", "report", "diff"),
    *("import", "targets", "simulate", "fakeroute", "score", "crds"),
    *("operator", "fetch", "job", "load", "access", "purge"),
)
"""Each is a module here, but that no module can be called import."""
EXTRAS = {
    "aiohttp": "operator",
    "anabranch_engine": "engine",
    "chdb": "warehouse",
    "httpx": "warehouse",
    "kopf": "operator",
    "kubernetes": "operator",
    "matplotlib": "local",
    "numpy": "warehouse",
    "prometheus_client": "operator",
    "pyarrow": "warehouse",
    "pych_client": "warehouse",
    "rich": "local",
}
"""The extra of the package that installs each module."""


def build_parser(words: list[str] | None = None) -> argparse.ArgumentParser:
    """Build the parser of the command that ``words`` begin with, or else of all."""
    parser = argparse.ArgumentParser(
        prog="anabranch", description="Maps the Internet's multipath topology."
    )
    version = f"anabranch {metadata.version('anabranch')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    named = [word for word in (words or [])[:1] if word in COMMANDS]
    # To import one command is much quicker than to import all.
    for command in named or COMMANDS:
        name = "importing" if command == "import" else command
        import_module(f"anabranch.cli.{name}").add_parser(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code, which is 1 if the input is refused."""
    words = sys.argv[1:] if arguments is None else arguments
    with _hide_pandas():
        return run_chosen(build_parser(words).parse_args(words), "anabranch")


class _PandasHider(MetaPathFinder):
    """A finder of modules for which there is no pandas."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no command needs it", name=fullname)


@contextlib.contextmanager
def _hide_pandas() -> Iterator[None]:
    """Have nobody find pandas as long as a ``with`` lasts.

    pyarrow looks for it at its first array, and its import takes a quarter of a
    command's start.
    """
    hider = _PandasHider()
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)


def run_chosen(chosen: argparse.Namespace, program: str) -> int:
    """Run the command that was chosen, and return its exit code.

    ``program`` is the name under which its errors are told.
    """
    try:
        code: int = chosen.run(chosen)
        # Report a failed write here, not when the interpreter ends.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as head, has closed the pipe.
        sys.stdout = None
        return 1
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"{program}: this needs anabranch[{extra}]; install it", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if not error.args or type(error).__module__.partition(".")[0] != "anabranch":
            raise
        # Errors of runs and queries say what to do.
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {what}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        # Most commands that fail have not read a manifest, and need no kinds.
        from anabranch.api.manifest import ManifestError  # noqa: PLC0415

        if not isinstance(error, ManifestError):
            raise
        count = len(error.problems)
        print(error, file=sys.stderr)
        print(f"{count} problem{'s' * (count > 1)}; nothing is used", file=sys.stderr)
        return 1
    return code
