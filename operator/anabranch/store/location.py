"""Open the store that a user names: a directory, or a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from anabranch.store.directory import DirectoryStore

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from anabranch.store.store import Store

_SCHEME = "s3://"


def open_location(
    location: str | os.PathLike[str], environment: Mapping[str, str]
) -> Store:
    """Open a directory, or ``s3://BUCKET/PREFIX`` with boto3's credentials.

    The environment names the S3, as for Jobs, if it is not that of AWS.

    Raises:
        LookupError: If there is no such directory, or the URI has no bucket.
    """
    text = str(location)
    if text.startswith(_SCHEME):
        # boto3 takes a quarter of a second, which a directory does without.
        from anabranch.store.environment import ENDPOINT  # noqa: PLC0415
        from anabranch.store.s3 import S3Store  # noqa: PLC0415

        bucket, _, prefix = text.removeprefix(_SCHEME).partition("/")
        if not bucket:
            raise LookupError(f"{text!r} has no bucket; write s3://BUCKET/PREFIX")
        return S3Store(
            bucket,
            prefix=prefix.strip("/"),
            endpoint_url=environment.get(ENDPOINT) or None,
        )
    if not Path(location).is_dir():
        raise LookupError(f"there is no folder {text}; name one with a survey's data")
    return DirectoryStore(Path(location))
