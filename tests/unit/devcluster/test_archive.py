"""Nodes get of images what they have not got."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from typing import TYPE_CHECKING, Any

from devcluster.archive import Archive

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, content: bytes) -> str:
    """Adds a blob, and gives its digest."""
    digest = hashlib.sha256(content).hexdigest()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(content)
    return f"sha256:{digest}"


def put_image(folder: Path, name: str, *layers: bytes) -> list[str]:
    """Adds an image as buildah does, and gives the digests of all that it is."""
    config = put(folder, json.dumps({"of": name, "layers": len(layers)}).encode())
    parts = [put(folder, layer) for layer in layers]
    manifest = {"config": {"digest": config}, "layers": [{"digest": d} for d in parts]}
    digest = put(folder, json.dumps(manifest).encode())
    file = folder / "index.json"
    index: Any = {"schemaVersion": 2, "manifests": []}
    if file.exists():
        index = json.loads(file.read_text())
    for each in index["manifests"]:
        if each["annotations"].get("org.opencontainers.image.ref.name") == name:
            each["annotations"] = {}
    annotations = {"org.opencontainers.image.ref.name": name}
    index["manifests"].append({"digest": digest, "annotations": annotations})
    file.write_text(json.dumps(index))
    return [digest, config, *parts]


def list_sent(archive: Archive, present: set[str]) -> set[str]:
    """The names in the stream that a node reads."""
    stream = io.BytesIO()
    archive.write_missing(stream, present)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        return set(tar.getnames()) - {"oci-layout", "index.json"}


def as_files(digests: list[str]) -> set[str]:
    """Where blobs with these digests are in a stream."""
    return {f"blobs/{digest.replace(':', '/')}" for digest in digests}


def test_an_archive_that_is_not_there_has_no_images(tmp_path: Path) -> None:
    """Rather than being an error: a cluster can start before any is built."""
    archive = Archive(tmp_path / "none")
    assert archive.list_images() == {}
    assert archive.find_id("app:1") is None
    assert list_sent(archive, set()) == set()


def test_only_what_is_missing_is_sent(tmp_path: Path) -> None:
    """Layers that images share are sent once, and those of before not again."""
    first = put_image(tmp_path, "app:1", b"base", b"code")
    second = put_image(tmp_path, "tool:1", b"base", b"more")
    archive = Archive(tmp_path)
    assert list_sent(archive, set()) == as_files(first + second)
    assert list_sent(archive, set(first)) == as_files(second) - as_files(first)


def test_a_name_is_the_newest_images_and_the_older_one_goes(tmp_path: Path) -> None:
    """But for the layers that the newer one has too."""
    old = put_image(tmp_path, "app:1", b"base", b"code")
    new = put_image(tmp_path, "app:1", b"base", b"newer", b"code")
    archive = Archive(tmp_path)
    assert archive.list_images() == {"app:1": new[0]}
    assert archive.find_id("app:1") == new[1].removeprefix("sha256:")
    archive.remove_unused()
    blobs = {f"sha256:{blob.name}" for blob in (tmp_path / "blobs/sha256").iterdir()}
    assert blobs == set(new)
    assert not blobs & (set(old) - set(new))


def test_images_are_sent_while_nobody_changes_them(tmp_path: Path) -> None:
    """Whoever builds removes what a node may be about to get."""
    put_image(tmp_path / "archive", "app:1", b"base")
    archive = Archive(tmp_path / "archive")
    sent: list[set[str]] = []
    send = threading.Thread(target=lambda: sent.append(list_sent(archive, set())))
    with archive.lock(to_change=True):
        send.start()
        send.join(0.3)
        assert not sent
        newer = put_image(tmp_path / "archive", "app:1", b"newer")
        archive.remove_unused()
    send.join(10)
    assert sent == [as_files(newer)]
