"""The Go programs that tests need, built once into a cache outside the clone."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Program:
    """A Go program: the folder of its module, and its package."""

    folder: Path
    package: str

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
VERSITYGW = Program(_HERE / "versitygw", "github.com/versity/versitygw/cmd/versitygw")


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
    flags = f"-s -w {_stamp()}" if program.folder == KUBERNETES else "-s -w"
    print(  # noqa: T201 (minutes of silence would look like a hang)
        f"building {program.name} into {binary.parent}: some minutes, once",
        file=sys.stderr,
    )
    half_built = binary.with_suffix(".new")
    command = ["go", "build", "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", flags, "-o", str(half_built), program.package]
    try:
        subprocess.run(
            command,
            cwd=program.folder,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError:
        raise RuntimeError("install Go 1.25 or later for the tests") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{program.name} does not build:\n{error.stderr}") from error
    half_built.rename(binary)


if __name__ == "__main__":
    # Ahead of pytest, which would hide that something is being built.
    for each in (APISERVER, VERSITYGW):
        build(each)
