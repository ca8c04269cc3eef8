"""Open the store that the environment of a process in a cluster names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.store.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKET = "ANABRANCH_STORE_BUCKET"
ENDPOINT = "ANABRANCH_STORE_ENDPOINT"
"""The variable with the URL of S3, if it is not that of AWS."""


def open_store(environment: Mapping[str, str]) -> S3Store:
    """Open the bucket that the environment names, with boto3's credentials.

    Raises:
        LookupError: If the environment does not name a bucket.
    """
    bucket = environment.get(BUCKET)
    if not bucket:
        raise LookupError(f"{BUCKET} is not set; name the bucket of the object store")
    return S3Store(bucket, endpoint_url=environment.get(ENDPOINT) or None)
