"""Pods trust the CAs of the settings, by whatever they ask the store and ClickHouse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.api import Agent
from anabranch.manifests.agents import build_pod
from anabranch.manifests.jobs import build_job
from anabranch.manifests.settings import Settings
from anabranch.manifests.trust import BUNDLE
from anabranch.store.environment import BUCKET, ENDPOINT
from anabranch.store.s3 import S3Store
from anabranch.warehouse.environment import PASSWORD, URL, USER
from clickhouseserver import PASSWORD as ITS_PASSWORD
from clickhouseserver import USER as ITS_USER
from clickhouseserver import run_clickhouse
from tls import found_authority, run_tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devcluster.pki import Authority
    from devcluster.s3 import S3

PUBLIC = Path(certifi.where())
KEY = "tests/rows.parquet"
BOTO3 = f"""
import os
from anabranch.store.environment import open_store
print(len(open_store(os.environ).tail({KEY!r}, 4)))
"""
CHDB = f"""
import os, chdb
from anabranch.store.environment import open_store
rows = open_store(os.environ).read_sql({KEY!r})
connection = chdb.connect(":memory:")
connection.query("SET s3_retry_attempts = 1")
print(connection.query(f"SELECT count() FROM {{rows}}"), end="")
"""
CLICKHOUSE = """
import os
from anabranch.warehouse.environment import open_warehouse
with open_warehouse(os.environ) as warehouse:
    print(warehouse.engine.read("SELECT 4 AS four")["four"][0])
"""
PROGRAMS = pytest.mark.parametrize(
    "program", [BOTO3, CHDB, CLICKHOUSE], ids=["boto3", "chdb", "clickhouse"]
)


def list_pods(**bundle: str) -> Iterator[dict[str, Any]]:
    """The specs of the pods that the operator makes, with such a bundle."""
    settings = Settings.read(
        {
            "namespace": "system",
            "store": {"bucket": "surveys"},
            "caBundle": bundle,
            "jobs": {"image": "operator"},
            "agents": {"image": "agent"},
        }
    )
    about = {"name": "paris", "namespace": "system", "uid": "1"}
    agent = Agent.read(
        {
            "apiVersion": "anabranch.dev/v1alpha1",
            "kind": "Agent",
            "metadata": about,
            "spec": {"nodeName": "n1"},
        }
    )
    yield build_pod(settings, agent)["spec"]
    yield build_job(settings, "job", {}, [])["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of a company."""
    return found_authority(tmp_path_factory.mktemp("company"))


@pytest.fixture
def of_jobs(s3: S3, authority: Authority, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a Job is told of a store and of ClickHouse, both vouched for by the CA."""
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": [1, 2, 3, 4]}), rows)
    S3Store(s3.bucket, endpoint_url=s3.url).put_file(KEY, rows)
    with (
        run_clickhouse(tmp_path / "clickhouse") as clickhouse,
        run_tls(authority, int(s3.url.rpartition(":")[2])) as store_port,
        run_tls(authority, clickhouse.port) as clickhouse_port,
    ):
        yield {
            BUCKET: s3.bucket,
            ENDPOINT: f"https://127.0.0.1:{store_port}",
            URL: f"https://127.0.0.1:{clickhouse_port}",
            USER: ITS_USER,
            PASSWORD: ITS_PASSWORD,
        }


def run(
    program: str, of_jobs: Mapping[str, str], bundle: Path
) -> subprocess.CompletedProcess[str]:
    """Runs a program as in a Job whose bundle this is."""
    (container,) = next(list_pods(configMap="company"))["containers"]
    told = {
        each["name"]: str(bundle)
        for each in container["env"]
        if each.get("value") == BUNDLE
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | of_jobs | told,
        capture_output=True,
        check=False,
        text=True,
    )


@PROGRAMS
def test_who_trusts_a_private_ca_reads_what_it_vouches_for(
    program: str, of_jobs: dict[str, str], authority: Authority
) -> None:
    """By boto3, by chdb's own S3, and by HTTP."""
    done = run(program, of_jobs, authority.certificate)
    assert done.stdout == "4\n", done.stderr


@PROGRAMS
def test_who_trusts_the_public_cas_alone_reads_nothing_there(
    program: str, of_jobs: dict[str, str]
) -> None:
    """Each tells why."""
    done = run(program, of_jobs, PUBLIC)
    assert done.returncode
    assert "certificate verify failed" in done.stderr


def test_a_bundle_that_changes_is_read_again(
    s3: S3, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more CA reaches the store of a pod that runs."""
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(PUBLIC.read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with run_tls(authority, int(s3.url.rpartition(":")[2])) as port:
        store = S3Store(s3.bucket, endpoint_url=f"https://127.0.0.1:{port}")
        with pytest.raises(OSError, match="certificate verify failed"):
            list(store.list("tests"))
        bundle.write_bytes(authority.certificate.read_bytes())
        assert list(store.list("tests")) == []


def test_pods_have_the_bundle_where_they_are_told_it_is() -> None:
    """Read-only, of the ConfigMap's key."""
    for pod in list_pods(configMap="company", key="bundle.pem"):
        (container,) = pod["containers"]
        (mount,) = (each for each in container["volumeMounts"] if each.get("readOnly"))
        (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
        (item,) = volume["configMap"]["items"]
        assert volume["configMap"]["name"] == "company"
        assert item["key"] == "bundle.pem"
        assert f"{mount['mountPath']}/{item['path']}" == BUNDLE
        told = {
            each["name"] for each in container["env"] if each.get("value") == BUNDLE
        }
        assert told == {"AWS_CA_BUNDLE", "SSL_CERT_FILE"}


def test_pods_have_no_bundle_by_default() -> None:
    """They trust whom their images trust."""
    for pod in list_pods():
        (container,) = pod["containers"]
        assert not {"AWS_CA_BUNDLE", "SSL_CERT_FILE"} & {
            each["name"] for each in container["env"]
        }
        assert [each["name"] for each in pod["volumes"]] == ["scratch"]
