"""The store that a process in a cluster is told of by its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.store.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKET = "ANABRANCH_STORE_BUCKET"
ENDPOINT = "ANABRANCH_STORE_ENDPOINT"
"""Where S3 is, unless it is AWS."""


def open_store(environment: Mapping[str, str]) -> S3Store:
    """The bucket that the environment names, with boto3's credentials.

    Raises:
        LookupError: When it names none.
    """
    bucket = environment.get(BUCKET)
    if not bucket:
        raise LookupError(f"{BUCKET} is not set; name the bucket of the object store")
    return S3Store(bucket, endpoint_url=environment.get(ENDPOINT) or None)
