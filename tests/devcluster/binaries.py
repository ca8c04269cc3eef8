"""The Go programs that tests need, built once into a cache outside the clone."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devcluster.process import tell

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = Path(__file__).parent
_VERSION = "k8s.io/component-base/version"
_TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """A Go program: the folder of its module, and its package."""

    folder: Path
    package: str
    tags: str = ""
    """What of it is built, and what is left out."""

    @property
    def name(self) -> str:
        """The name of the binary."""
        return self.package.rpartition("/")[2]

    @property
    def sources(self) -> list[Path]:
        """The files that it is made of, beside other modules."""
        own = self.folder / self.package
        return [self.folder / "go.mod", self.folder / "go.sum", *own.rglob("*.go")]


KUBERNETES = _HERE / "go"
APISERVER = Program(KUBERNETES, "./apiserver")
KUBE = Program(KUBERNETES, "./kube")
PAUSE = Program(KUBERNETES, "./pause")
# It shares most packages with Kubernetes.
HELM = Program(KUBERNETES, "helm.sh/helm/v3/cmd/helm")
KWOK = Program(_HERE / "kwok", "sigs.k8s.io/kwok/cmd/kwok")
HELM_DOCS = Program(_HERE / "helmdocs", "github.com/norwoodj/helm-docs/cmd/helm-docs")
VERSITYGW = Program(_HERE / "versitygw", "github.com/versity/versitygw/cmd/versitygw")
# Of all that it can look for targets in, Kubernetes alone.
_TAGS = "remove_all_sd,enable_kubernetes_sd"
_PROMETHEUS = "github.com/prometheus/prometheus/cmd"
PROMETHEUS = Program(_HERE / "prometheus", f"{_PROMETHEUS}/prometheus", _TAGS)
PROMTOOL = Program(_HERE / "prometheus", f"{_PROMETHEUS}/promtool", _TAGS)
# What GitOps tools make of our objects; not of a cluster, but built like the others.
VERDICTS = Program(_HERE.parent / "gitops" / "go", "./verdicts")
# What M-Lab's parser makes of our files.
MLABPARSE = Program(_HERE.parent / "mlab" / "go", "./mlabparse")
PROGRAMS = (
    *(APISERVER, KUBE, PAUSE, HELM, HELM_DOCS, KWOK),
    *(VERSITYGW, PROMETHEUS, PROMTOOL, VERDICTS, MLABPARSE),
)


def cache_folder() -> Path:
    """Where programs are kept: ``ANABRANCH_CACHE``, or in the user's cache folder."""
    if folder := os.environ.get("ANABRANCH_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "anabranch"


def build(program: Program) -> Path:
    """The path of a program, built if its sources are new.

    Raises:
        RuntimeError: With the compiler's words, when it can't be built.
    """
    sources = b"".join(file.read_bytes() for file in sorted(program.sources))
    sources += program.tags.encode()
    folder = cache_folder() / "go" / hashlib.sha256(sources).hexdigest()[:16]
    binary = folder / program.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _compile(program, binary)
    return binary


def kubernetes_version() -> str:
    """The version of Kubernetes that the Go module requires, with its v."""
    (line,) = (
        line
        for line in (KUBERNETES / "go.mod").read_text().splitlines()
        if line.strip().startswith("k8s.io/kubernetes v")
    )
    return line.split()[1]


def _stamp() -> str:
    """What the linker is told of the version of Kubernetes."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X {_VERSION}.{name}={value}" for name, value in stamp.items())


def _compile(program: Program, binary: Path) -> None:
    tell(f"building {program.name} into {binary.parent}: some minutes, once")
    flags = f"-s -w {_stamp()}" if program.folder == KUBERNETES else "-s -w"
    options = ["-trimpath", "-buildvcs=false", f"-ldflags={flags}"]
    options += [f"-tags={program.tags}"] if program.tags else []
    half_built = binary.with_suffix(".new")
    # Packages that an earlier build has got to are in Go's own cache.
    ask = ["list", "-deps", "-f={{if .Stale}}{{.ImportPath}}{{end}}"]
    missing = _run_go(
        program,
        [*ask, *options, program.package],
        lambda line: line.startswith("go: downloading "),
        "modules fetched",
    ).split()
    _run_go(
        program,
        ["build", "-v", *options, f"-o={half_built}", program.package],
        set(missing).__contains__,
        f"of {len(missing)} packages built",
    )
    half_built.rename(binary)


def _run_go(
    program: Program, words: list[str], is_step: Callable[[str], bool], steps: str
) -> str:
    """What go prints; tells from time to time how many steps it has made.

    Raises:
        RuntimeError: With its words, when it fails or isn't there.
    """
    done, said, told = 0, [], time.monotonic()
    try:
        with (
            tempfile.TemporaryFile("w+") as out,
            subprocess.Popen(
                ["go", *words],
                cwd=program.folder,
                env=os.environ | {"CGO_ENABLED": "0"},
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            ) as go,
        ):
            assert go.stderr
            for line in go.stderr:
                if not is_step(line.rstrip()):
                    said.append(line)
                    continue
                done += 1
                if time.monotonic() > told + _TELL_SECONDS:
                    told = time.monotonic()
                    tell(f"{program.name}: {done} {steps}")
            failed = go.wait() != 0
            out.seek(0)
            printed = out.read()
    except FileNotFoundError:
        raise RuntimeError("install Go 1.25 or later for the tests") from None
    if failed:
        raise RuntimeError(f"{program.name} does not build:\n{''.join(said)}")
    return printed


if __name__ == "__main__":
    # Ahead of pytest, which would hide that something is being built.
    known = {each.name: each for each in PROGRAMS}
    parser = argparse.ArgumentParser(description="Builds programs, prints their paths.")
    parser.add_argument("name", nargs="+", choices=known)
    for name in parser.parse_args().name:
        print(build(known[name]))  # noqa: T201 (a command's output)
