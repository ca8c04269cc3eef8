"""The commands."""

from __future__ import annotations

import argparse
import sys

from anabranch.api.manifest import ManifestError

try:
    from anabranch.cli import crds, targets, validate
except ModuleNotFoundError as error:
    if error.name != "anabranch_engine":
        raise
    sys.exit("anabranch: the commands need the engine: install anabranch[engine]")

COMMANDS = (validate, targets, crds)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and gives its exit code: 1 when the input is refused."""
    parser = argparse.ArgumentParser(
        prog="anabranch", description="Maps the Internet's multipath topology."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except ManifestError as error:
        count = len(error.problems)
        print(error, file=sys.stderr)
        print(f"{count} problem{'s' * (count > 1)}; nothing is used", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as head, has enough; there is nobody to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        print(f"anabranch: {what}{error.strerror or error}", file=sys.stderr)
        return 1
    return code
