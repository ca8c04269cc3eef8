"""Container images, built on this machine without a registry."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devcluster.archive import Archive
from devcluster.binaries import cache_folder
from devcluster.process import run_tool, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
"""The base of our images, under the name that their Dockerfiles know it by."""

_RECIPE_LABEL = "dev.anabranch.recipe"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
# Debian's Python is made to look like the image's: its programs are in /usr/local/bin,
# packages in site-packages, and pip installs where it is told to.
_HOOKS = (
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python3"',
    'ln -s python3 "$1/usr/local/bin/python"',
    'ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"',
    'ln -s dist-packages "$1/usr/local/lib/python3.11/site-packages"',
    'rm --force "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True)
class ImageStore:
    """Images with their layers, and archives of them that nodes can load."""

    folder: Path = cache_folder() / "images"

    @property
    def archive(self) -> Archive:
        """Where nodes get them from."""
        return Archive(self.folder / "archive")

    def build_base(self) -> None:
        """Puts the base image together from Debian's packages, unless it is there."""
        recipe = [*_PACKAGES, *_HOOKS, *_LEFT_OUT, *_ENVIRONMENT.items()]
        digest = hashlib.sha256(repr(recipe).encode()).hexdigest()
        if self._find_label(PYTHON_IMAGE) == digest:
            return
        tell(f"building {PYTHON_IMAGE} of Debian's packages: a minute, once")
        self._make_folder()
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            root = Path(folder) / "root.tar"
            options = [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
            options += [f"--customize-hook={hook}" for hook in _HOOKS]
            options += ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
            run_tool("mmdebstrap", "--quiet", *options, "bookworm", root)
            container = self._buildah("from", "scratch").strip()
            self._buildah("add", "--quiet", container, str(root), "/")
        environment = [f"--env={name}={value}" for name, value in _ENVIRONMENT.items()]
        label = f"--label={_RECIPE_LABEL}={digest}"
        self._buildah("config", *environment, label, '--cmd=["python3"]', container)
        self._buildah("commit", "--quiet", "--rm", container, PYTHON_IMAGE)

    def build(
        self,
        dockerfile: Path,
        context: Path,
        tag: str,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """Builds a Dockerfile; layers that did not change are kept.

        The certificates that this machine trusts and its settings of pip are lent to
        the build, and don't get into the image.

        Raises:
            RuntimeError: With the build's words, when it fails.
        """
        tell(f"building {tag}")
        lent = {_CERTIFICATES: _CERTIFICATES, _find_pip_config(): Path("/etc/pip.conf")}
        options = [
            f"--volume={here}:{there}:ro" for here, there in lent.items() if here
        ]
        for name, value in (arguments or {}).items():
            options.append(f"--build-arg={name}={value}")
        self._buildah(
            "build",
            "--layers",
            "--pull-never",
            "--network=host",
            *options,
            f"--file={dockerfile}",
            f"--tag={tag}",
            str(context),
        )
        self._archive(tag)

    def read_config(self, tag: str) -> dict[str, Any]:
        """What an image says of itself, such as its user and labels."""
        told = json.loads(self._buildah("inspect", "--type=image", tag))
        config: dict[str, Any] = told["OCIv1"]["config"]
        return config

    def run(self, tag: str, *words: str) -> str:
        """What a command in a container of an image prints."""
        container = self._buildah("from", "--pull-never", tag).strip()
        try:
            return self._buildah("run", container, "--", *words)
        finally:
            self._buildah("rm", container)

    def wrap(self, binary: Path, tag: str) -> None:
        """Makes an image of one static binary, its entry point."""
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        if self._find_label(tag) != digest:
            self._make_folder()
            container = self._buildah("from", "scratch").strip()
            self._buildah("copy", "--quiet", container, str(binary), "/")
            entry = f"--entrypoint={json.dumps([f'/{binary.name}'])}"
            label = f"--label={_RECIPE_LABEL}={digest}"
            self._buildah("config", entry, label, container)
            self._buildah("commit", "--quiet", "--rm", container, tag)
        self._archive(tag)

    def _archive(self, tag: str) -> None:
        """Puts an image where nodes get it from, instead of the one of that name."""
        with self.archive.lock(to_change=True):
            if self.archive.find_id(tag) == self._inspect(tag, "{{.FromImageID}}"):
                return
            quick = ("--quiet", "--compression-format=zstd")
            self._buildah("push", *quick, tag, f"oci:{self.archive.folder}:{tag}")
            self.archive.remove_unused()

    def _find_label(self, tag: str) -> str | None:
        if tag not in self._list_names():
            return None
        return self._inspect(
            tag, f'{{{{index .OCIv1.Config.Labels "{_RECIPE_LABEL}"}}}}'
        )

    def _list_names(self) -> list[str]:
        if not self.folder.exists():
            return []
        words = ("images", "--format", "{{.Name}}:{{.Tag}}")
        return self._buildah(*words).split()

    def _inspect(self, tag: str, template: str) -> str:
        words = ("inspect", "--type=image", f"--format={template}", tag)
        return self._buildah(*words).strip()

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _buildah(self, *words: str) -> str:
        storage = [f"--root={self.folder}/buildah", f"--runroot={self.folder}/run"]
        # The mounts that it keeps are for itself, and end with it.
        alone = ["unshare", "--mount", "--propagation=private"]
        return run_tool(
            *alone, "env", "BUILDAH_ISOLATION=chroot", "buildah", *storage, *words
        )


def _find_pip_config() -> Path | None:
    """The settings of pip on this machine, such as its index, if it has some."""
    places = [
        os.environ.get("PIP_CONFIG_FILE"),
        Path.home() / ".config" / "pip" / "pip.conf",
        Path.home() / ".pip" / "pip.conf",
        "/etc/pip.conf",
    ]
    files = [Path(place) for place in places if place]
    return next((file for file in files if file.is_file()), None)
