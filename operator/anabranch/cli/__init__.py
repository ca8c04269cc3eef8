"""The command line: `anabranch` and its commands."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata

from anabranch.api.manifest import ManifestError
from anabranch.cli import (
    crds,
    diff,
    fakeroute,
    fetch,
    importing,
    init,
    job,
    load,
    operator,
    plot,
    report,
    results,
    run,
    score,
    simulate,
    targets,
    trace,
    validate,
)

COMMANDS = (
    *(trace, init, validate, run, results, plot, report, diff, importing, targets),
    *(simulate, fakeroute, score, crds),
    *(operator, fetch, job, load),
)
EXTRAS = {
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


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code, which is 1 if the input is refused."""
    parser = argparse.ArgumentParser(
        prog="anabranch", description="Maps the Internet's multipath topology."
    )
    version = f"anabranch {metadata.version('anabranch')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
        # Report a failed write here, not when the interpreter ends.
        sys.stdout.flush()
    except ManifestError as error:
        count = len(error.problems)
        print(error, file=sys.stderr)
        print(f"{count} problem{'s' * (count > 1)}; nothing is used", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as head, has closed the pipe.
        sys.stdout = None
        return 1
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"anabranch: this needs anabranch[{extra}]; install it", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if not error.args or type(error).__module__.partition(".")[0] != "anabranch":
            raise
        # Errors of runs and queries say what to do.
        print(f"anabranch: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        print(f"anabranch: {what}{error.strerror or error}", file=sys.stderr)
        return 1
    return code
