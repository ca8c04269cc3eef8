"""A real etcd and kube-apiserver on loopback, without nodes or controllers."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes import client
from urllib3.exceptions import HTTPError

from devcluster.binaries import APISERVER, build
from devcluster.process import find_free_ports, run_program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 60.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ApiServer:
    """A running API server and how to speak to it."""

    url: str
    certificate: Path
    """The server's own, made at its start."""
    token: str
    """Of a user who may do everything."""

    def connect(self) -> client.ApiClient:
        """A client of the user who may do everything."""
        config = client.Configuration(host=self.url, ssl_ca_cert=str(self.certificate))
        config.api_key = {"authorization": f"Bearer {self.token}"}
        return client.ApiClient(config)


@contextlib.contextmanager
def run_apiserver(folder: Path) -> Iterator[ApiServer]:
    """Runs etcd and kube-apiserver with their data and logs in an empty folder."""
    binary = build(APISERVER)
    etcd_port, peer_port, port = find_free_ports(3)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    key = _write_key(folder / "service-accounts.pem")
    etcd = f"http://127.0.0.1:{etcd_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    etcd_command = [
        str(binary),
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]
    apiserver_command = [
        str(binary),
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=198.18.0.0/24",
        "--endpoint-reconciler-type=none",
        # Nothing here makes the service accounts that this plugin waits for.
        "--disable-admission-plugins=ServiceAccount",
    ]
    with (
        run_program(etcd_command, folder / "etcd.log") as etcd_process,
        run_program(
            apiserver_command, folder / "kube-apiserver.log"
        ) as apiserver_process,
    ):
        certificate = folder / "certificates" / "apiserver.crt"
        server = ApiServer(f"https://127.0.0.1:{port}", certificate, token)
        _wait_ready(server, (etcd_process, apiserver_process), folder)
        yield server


def _wait_ready(
    server: ApiServer, processes: tuple[subprocess.Popen[bytes], ...], folder: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (server.certificate.exists() and _is_ready(server)):
        ended = any(process.poll() is not None for process in processes)
        if ended or time.monotonic() > deadline:
            logs = (
                f"{log}:\n{log.read_text()[-2000:]}" for log in folder.glob("*.log")
            )
            raise RuntimeError("the API server does not start:\n" + "\n".join(logs))
        time.sleep(_POLL_SECONDS)


def _is_ready(server: ApiServer) -> bool:
    try:
        client.CoreV1Api(server.connect()).read_namespace("default")
    except (client.ApiException, HTTPError):
        return False
    return True


def _write_key(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return path
