"""A store in a bucket of S3."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from anabranch.store.store import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from botocore.credentials import ReadOnlyCredentials
    from types_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

_MISSING = {"NoSuchKey", "404"}
_THERE = {"PreconditionFailed", "412"}
_BUSY = {"ConditionalRequestConflict", "409"}
"""Codes for two writers that put the same key at once; a retry tells who won."""
_ATTEMPTS = 5
_CONNECT_SECONDS = 5
_READ_SECONDS = 30
_CHUNK_BYTES = 1 << 20


class StoreError(OSError):
    """S3 refuses a request, or does not answer."""


class S3Store:
    """A store whose objects are in a bucket; see ``anabranch.store.store.Store``.

    boto3 finds the credentials: in the environment, in files, or from the machine. Keys
    are below ``prefix``, by default at the top of the bucket.
    """

    def __init__(
        self, bucket: str, *, prefix: str = "", endpoint_url: str | None = None
    ) -> None:
        session = boto3.Session()
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            s3={"addressing_style": "path"} if endpoint_url else {},
        )
        self._client = session.client("s3", endpoint_url=endpoint_url, config=config)
        self._session = session
        self.bucket = bucket
        self._top = f"{prefix}/" if prefix else ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self._top}".rstrip("/")

    def create_bucket(self) -> None:
        """Create the bucket, unless it is there.

        Raises:
            OSError: If S3 refuses it.
        """
        with _as_os_errors(self.bucket):
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _MISSING:
                    raise
                # Another process may make it at the same time.
                with suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                    self._client.create_bucket(Bucket=self.bucket)

    @property
    def endpoint(self) -> str:
        """The URL of S3."""
        url: str = self._client.meta.endpoint_url
        return url.rstrip("/")

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        region: str = self._client.meta.region_name
        return region

    def find_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials that boto3 found.

        Raises:
            StoreError: If it found none.
        """
        found = self._session.get_credentials()
        if found is None:
            raise StoreError(
                f"{self}: there are no credentials; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        return found.get_frozen_credentials()

    def put_policy(self, text: str) -> None:
        """Put the bucket's policy, JSON, in place of the one before.

        Raises:
            OSError: If S3 refuses it.
        """
        with _as_os_errors(f"the policy of {self.bucket}"):
            self._client.put_bucket_policy(Bucket=self.bucket, Policy=text)

    def put(self, key: str, content: bytes) -> bool:
        """Put an object atomically; return False if the key has one already."""
        return self._put(key, io.BytesIO(content))

    def put_file(self, key: str, file: Path) -> bool:
        """Put a file's content under a key; return False if the key has an object."""
        with file.open("rb") as content:
            return self._put(key, content)

    def _put(self, key: str, content: BinaryIO) -> bool:
        """Put what is read from the beginning; it may be more than fits into memory."""
        for attempt in range(_ATTEMPTS):
            content.seek(0)
            with _as_os_errors(key):
                try:
                    self._client.put_object(
                        Bucket=self.bucket,
                        Key=self._top + key,
                        Body=content,
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code in _THERE:
                        return False
                    if code not in _BUSY or attempt + 1 == _ATTEMPTS:
                        raise
                else:
                    return True
        raise AssertionError  # the last attempt raises

    def get(self, key: str) -> bytes:
        """Return the content of an object."""
        with _as_os_errors(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._top + key)
            return answer["Body"].read()

    def copy(self, key: str, out: BinaryIO) -> None:
        """Write the content of an object to a stream, in chunks.

        Raises:
            FileNotFoundError: If there is no such object.
        """
        with _as_os_errors(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._top + key)
            out.writelines(answer["Body"].iter_chunks(_CHUNK_BYTES))

    def tail(self, key: str, count: int) -> bytes:
        """Return the last ``count`` bytes of an object."""
        with _as_os_errors(key):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=self._top + key, Range=f"bytes=-{count}"
            )
            return answer["Body"].read()

    def find_stamp(self, key: str) -> str:
        """Return an object's ETag."""
        with _as_os_errors(key):
            answer = self._client.head_object(Bucket=self.bucket, Key=self._top + key)
            return answer["ETag"]

    def fetch(self, key: str, folder: Path) -> Path:
        """Return the path of a copy of an object, which is made unless it is there."""
        file = folder / hashlib.sha256(key.encode()).hexdigest()
        if not file.exists():
            draft = file.with_suffix(".draft")
            draft.write_bytes(self.get(key))
            draft.rename(file)
        return file

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, in order."""
        yield from (each.key for each in self.scan(prefix))

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what is known of the objects below a folder, in the order of keys."""
        for page in self._list(prefix, ""):
            for each in page.get("Contents", []):
                key = each["Key"].removeprefix(self._top)
                yield StoredObject(key, each["Size"], each["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders in a folder, in order."""
        for page in self._list(prefix, "/"):
            found = (each["Prefix"] for each in page.get("CommonPrefixes", []))
            yield from (key.split("/")[-2] for key in found)

    def remove(self, prefix: str) -> None:
        """Remove all objects below a folder, if there are any."""
        for page in self._list(prefix, ""):
            keys = [each["Key"] for each in page.get("Contents", [])]
            if not keys:
                continue
            with _as_os_errors(prefix):
                answer = self._client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                )
            for error in answer.get("Errors", []):
                told = f"{error.get('Code')}: {error.get('Message')}"
                raise StoreError(f"{error.get('Key')}: S3 does not remove it: {told}")

    def _list(
        self, prefix: str, delimiter: str
    ) -> Iterator[ListObjectsV2OutputTypeDef]:
        with _as_os_errors(prefix):
            yield from self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=f"{self._top}{prefix.rstrip('/')}/",
                Delimiter=delimiter,
            )

    def read_sql(self, pattern: str) -> str:
        """Return a call of ClickHouse's ``s3``, which contains the credentials."""
        host = self._client.meta.endpoint_url
        url = f"{host}/{self.bucket}/{quote(self._top + pattern, '/*')}"
        credentials = self._session.get_credentials()
        if credentials is None:
            return f"s3('{url}', NOSIGN, 'Parquet')"
        keys = credentials.get_frozen_credentials()
        words = [url, keys.access_key or "", keys.secret_key or ""]
        words += [keys.token] if keys.token else []
        quoted = ", ".join("'{}'".format(word.replace("'", "\\'")) for word in words)
        return f"s3({quoted}, 'Parquet')"


@contextmanager
def _as_os_errors(key: str) -> Iterator[None]:
    """Turn boto3's errors into ``OSError``."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING:
            raise FileNotFoundError(2, "there is no such object", key) from error
        raise StoreError(f"{key}: S3 says {code}: {error}") from error
    except BotoCoreError as error:
        raise StoreError(f"{key}: S3 can't be reached: {error}") from error
