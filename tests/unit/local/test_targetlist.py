"""Target lists of a local run."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from anabranch.api import TargetList
from anabranch.api.manifest import ManifestError, Source, read_manifests
from anabranch.local.targetlist import read_target_list
from annotationfiles import make_rib

if TYPE_CHECKING:
    from pathlib import Path

    from anabranch_engine import TargetList as Content

RIB = make_rib({"1.0.0.0/22": [(1, 2), (3, 2)], "2.0.0.0/24": [(1, 4)]})


def read(folder: Path, source: str) -> Content | None:
    """The list of a manifest in a folder."""
    text = (
        "apiVersion: anabranch.dev/v1alpha1\n"
        f"kind: TargetList\nmetadata: {{name: a}}\nspec: {{{source}}}\n"
    )
    file = folder / "list.yaml"
    manifests = read_manifests([Source(str(file), text.encode())])
    assert manifests.broken == ()
    (document,) = manifests.of_kind(TargetList)
    return read_target_list(document, manifests)


def test_routed_prefixes_come_from_a_file_beside_the_manifest(tmp_path: Path) -> None:
    """Those that enough peers see."""
    (tmp_path / "rib.gz").write_bytes(gzip.compress(RIB))
    everything = read(tmp_path, "routes: {file: rib.gz}")
    assert everything
    assert len(everything.split(24, 48)) == 5
    seen = read(tmp_path, "routes: {file: rib.gz, minPeers: 2, protocol: icmp}")
    assert seen
    assert len(seen.split(24, 48)) == 4
    assert seen.protocols() == ["icmp"]
    assert read(tmp_path, "routes: {object: {key: rib.gz}}") is None


@pytest.mark.parametrize(
    ("content", "source", "says"),
    [
        (RIB[:-1], "routes: {file: a}", "spec.routes: the MRT record at byte"),
        (RIB, "routes: {file: a, minPeers: 3}", "spec.routes: none of its 2 routes"),
        (RIB, "routes: {file: a, family: ipv6}", "2 of a family that is left out"),
        (RIB, "routes: {file: b}", "spec.routes: can't read .*b: No such file"),
        (b"1.0.0.0/24\n", "file: a", "spec.file: line 1 of the list: expected target"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    content: bytes, source: str, says: str, tmp_path: Path
) -> None:
    """In the manifest and in the file, with the remedy."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ManifestError, match=says):
        read(tmp_path, source)
