"""The Go programs of the test cluster, built once into a cache outside the clone."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "go"
_VERSION = "k8s.io/component-base/version"


def cache_folder() -> Path:
    """Where programs are kept: ``ANABRANCH_CACHE``, or in the user's cache folder."""
    if folder := os.environ.get("ANABRANCH_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "anabranch"


def build(program: str) -> Path:
    """The path of a program of the Go module, built if its sources are new.

    Raises:
        RuntimeError: With the compiler's words, when it can't be built.
    """
    files = [SOURCE / "go.mod", SOURCE / "go.sum", *(SOURCE / program).rglob("*.go")]
    sources = b"".join(file.read_bytes() for file in sorted(files))
    folder = cache_folder() / "go" / hashlib.sha256(sources).hexdigest()[:16]
    binary = folder / program
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{program}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _compile(program, binary)
    return binary


def kubernetes_version() -> str:
    """The version of Kubernetes that the Go module requires, with its v."""
    (line,) = (
        line
        for line in (SOURCE / "go.mod").read_text().splitlines()
        if line.strip().startswith("k8s.io/kubernetes v")
    )
    return line.split()[1]


def _compile(program: str, binary: Path) -> None:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X {_VERSION}.{name}={value}" for name, value in stamp.items())
    print(  # noqa: T201 (minutes of silence would look like a hang)
        f"building {program} of Kubernetes {version} into {binary.parent}: "
        "some minutes, once",
        file=sys.stderr,
    )
    half_built = binary.with_suffix(".new")
    command = ["go", "build", "-trimpath", "-buildvcs=false"]
    command += ["-ldflags", f"-s -w {flags}", "-o", str(half_built), f"./{program}"]
    try:
        subprocess.run(
            command,
            cwd=SOURCE,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError:
        raise RuntimeError("install Go 1.24 or later to test with Kubernetes") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{program} does not build:\n{error.stderr}") from error
    half_built.rename(binary)


if __name__ == "__main__":
    # Ahead of pytest, which would hide that something is being built.
    build("apiserver")
