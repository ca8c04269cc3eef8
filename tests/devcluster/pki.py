"""The certificates of a cluster, and the files by which clients log in with them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path

_LIFETIME = dt.timedelta(days=365)
# Nodes share this machine's clock, but it may be set back.
_EARLIER = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """Who signs certificates of a cluster, and the folder with them."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """Its own."""
        return self.folder / "ca.crt"

    def create(self) -> None:
        """Makes its key and certificate, unless there are some."""
        if self.certificate.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        key = write_key(self.folder / "ca.key")
        name = _name("anabranch-devcluster")
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(
                x509.BasicConstraints(ca=True, path_length=None), critical=True
            )
            .sign(key, hashes.SHA256())
        )
        _write(self.certificate, certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        user: str,
        *,
        group: str | None = None,
        addresses: tuple[IPv4Address, ...] = (),
        hosts: tuple[str, ...] = (),
    ) -> None:
        """Makes NAME.key and NAME.crt, unless they are there.

        They are good for a client that Kubernetes knows as a user of a group, and for a
        server at these addresses and hosts.
        """
        path = self.folder / f"{name}.crt"
        if path.exists():
            return
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        signer = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = write_key(self.folder / f"{name}.key")
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = _builder(_name(user, group), issuer.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        names: list[x509.GeneralName] = [x509.IPAddress(each) for each in addresses]
        names += [x509.DNSName(host) for host in hosts]
        if names:
            alternative = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternative, critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        _write(path, certificate.public_bytes(Encoding.PEM))

    def write_kubeconfig(self, path: Path, url: str, name: str) -> None:
        """Writes how the client with the certificate of this name logs in."""

        def embed(file: str) -> str:
            return base64.b64encode((self.folder / file).read_bytes()).decode()

        cluster = {"server": url, "certificate-authority-data": embed("ca.crt")}
        user = {
            "client-certificate-data": embed(f"{name}.crt"),
            "client-key-data": embed(f"{name}.key"),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "devcluster",
            "clusters": [{"name": "devcluster", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [
                {
                    "name": "devcluster",
                    "context": {"cluster": "devcluster", "user": name},
                }
            ],
        }
        _write(path, json.dumps(config, indent=1).encode())


def write_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Makes a private key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = PrivateFormat.TraditionalOpenSSL
    _write(path, key.private_bytes(Encoding.PEM, form, NoEncryption()))
    return key


def _name(user: str, group: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFETIME)
    )


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole, for its owner only: who is stopped leaves no half of it."""
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)
