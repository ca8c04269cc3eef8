from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from anabranch.cli import main
from anabranch.store.s3 import S3Store

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.s3 import S3


@pytest.fixture
def settings(s3: S3, tmp_path: Path) -> str:
    """The operator's settings, with a store that has an object."""
    S3Store(s3.bucket, endpoint_url=s3.url).put(
        "surveys/u/1/links", os.urandom(3 << 20)
    )
    file = tmp_path / "settings.yaml"
    about = {
        "namespace": "system",
        "store": {"bucket": s3.bucket, "endpoint": s3.url},
        "jobs": {"image": "operator"},
        "agents": {"image": "agent"},
    }
    file.write_text(yaml.safe_dump(about))
    return str(file)


def test_an_object_is_written_to_the_output(
    s3: S3, settings: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """As it is in the store."""
    key = "surveys/u/1/links"
    assert main(["fetch", f"s3://{s3.bucket}/{key}", "--settings", settings]) == 0
    stored = S3Store(s3.bucket, endpoint_url=s3.url).get(key)
    assert capfdbinary.readouterr().out == stored


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://{}/nothing", "there is no such object"),
        ("s3://another/key", "does not begin with s3://"),
        ("links.parquet", "does not begin with s3://"),
    ],
)
def test_what_is_not_there_is_told(
    s3: S3, settings: str, uri: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written."""
    words = ["fetch", uri.format(s3.bucket), "--settings", settings]
    assert main(words) == 1
    output = capsys.readouterr()
    assert told in output.err
    assert output.out == ""


def test_outside_of_a_cluster_it_says_where_it_belongs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Or which option it takes."""
    assert main(["fetch", "s3://x/y", "--settings", "/nowhere"]) == 1
    assert "run this in the operator's pod, or name" in capsys.readouterr().err
