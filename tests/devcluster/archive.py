"""Built images in a folder, from which nodes get what they have not got yet.

The folder is an OCI image layout (opencontainers/image-spec, image-layout.md), whose
index names images by the annotation ``org.opencontainers.image.ref.name``.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

_REF_NAME = "org.opencontainers.image.ref.name"
# By which containerd names what it imports, the registry included.
_FULL_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Archive:
    """A folder of images."""

    folder: Path

    @contextlib.contextmanager
    def lock(self, *, to_change: bool) -> Iterator[None]:
        """Has others wait who change it, or all others while it is to be changed."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if to_change else fcntl.LOCK_SH)
            yield

    def list_images(self) -> dict[str, str]:
        """The digest of each image's manifest by the image's name."""
        return {
            each["annotations"][_REF_NAME]: each["digest"]
            for each in self._read_index()["manifests"]
        }

    def find_id(self, name: str) -> str | None:
        """The id of an image of this name: the digest of its configuration."""
        digest = self.list_images().get(name)
        if digest is None:
            return None
        found: str = json.loads(self._blob(digest).read_bytes())["config"]["digest"]
        return found.removeprefix("sha256:")

    def write_missing(self, out: IO[bytes], present: Container[str]) -> None:
        """Writes all images as a tar stream, but for blobs with these digests."""
        with self.lock(to_change=False):
            self._write_missing(out, present)

    def _write_missing(self, out: IO[bytes], present: Container[str]) -> None:
        index = self._read_index()
        for each in index["manifests"]:
            each["annotations"][_FULL_NAME] = each["annotations"][_REF_NAME]
        with tarfile.open(fileobj=out, mode="w|") as tar:
            for digest in sorted(self._list_blobs()):
                if digest not in present:
                    tar.add(self._blob(digest), f"blobs/{digest.replace(':', '/')}")
            for name, content in {
                "oci-layout": {"imageLayoutVersion": "1.0.0"},
                "index.json": index,
            }.items():
                text = json.dumps(content).encode()
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))

    def remove_unused(self) -> None:
        """Removes the blobs of images that others took the names of."""
        used = set(self._list_blobs())
        for blob in (self.folder / "blobs" / "sha256").iterdir():
            if f"sha256:{blob.name}" not in used:
                blob.unlink()

    def _list_blobs(self) -> Iterator[str]:
        """The digests of all that images are made of."""
        for digest in self.list_images().values():
            manifest = json.loads(self._blob(digest).read_bytes())
            yield digest
            yield manifest["config"]["digest"]
            yield from (layer["digest"] for layer in manifest["layers"])

    def _read_index(self) -> dict[str, Any]:
        """The index, without images that others took the names of."""
        file = self.folder / "index.json"
        if not file.exists():
            return {"schemaVersion": 2, "manifests": []}
        index: dict[str, Any] = json.loads(file.read_text())
        named = [
            each
            for each in index["manifests"]
            if _REF_NAME in each.get("annotations", {})
        ]
        return index | {"manifests": named}

    def _blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")
