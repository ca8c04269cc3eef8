"""A real S3 gateway on loopback, over a folder."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError

from devcluster.binaries import VERSITYGW, build
from devcluster.process import find_free_ports, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
KEY, SECRET, REGION = "tests", "tests-secret", "us-east-1"
BUCKET = "anabranch"


@dataclass(frozen=True)
class S3:
    """A running gateway with an empty bucket."""

    url: str
    bucket: str = BUCKET


@contextlib.contextmanager
def run_s3(folder: Path) -> Iterator[S3]:
    """Runs versitygw with its data and log in an empty folder."""
    (port,) = find_free_ports(1)
    data = folder / "data"
    data.mkdir()
    # Its metadata lie beside the data: not all file systems have extended attributes.
    sidecar = folder / "metadata"
    sidecar.mkdir()
    users = folder / "users"
    users.mkdir()
    command = [str(build(VERSITYGW)), "--port", f"127.0.0.1:{port}"]
    command += ["--iam-dir", str(users), "--iam-cache-disable", "posix"]
    command += ["--sidecar", str(sidecar), str(data)]
    keys = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    log = folder / "s3.log"
    with run_program(command, log, os.environ | keys) as process:
        server = S3(f"http://127.0.0.1:{port}")
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name=REGION,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.create_bucket(Bucket=server.bucket)
                break
            except BotoCoreError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()[-2000:]) from error
                time.sleep(0.1)
        yield server
