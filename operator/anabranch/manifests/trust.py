"""The part of a pod that tells a container which CA certificates to trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anabranch.manifests.settings import BundleSettings

_VOLUME = "ca-bundle"
_FOLDER = "/etc/ssl/anabranch"
_FILE = "ca.crt"
BUNDLE = f"{_FOLDER}/{_FILE}"
"""Where the certificates are in a container."""
_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""The variable that boto3 reads, and the one that httpx and chdb read."""


@dataclass(frozen=True)
class Trust:
    """The parts of a pod and its container that set up trust; none for public CAs."""

    env: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()


def describe_trust(bundle: BundleSettings) -> Trust:
    """Describe the trust in the ConfigMap's certificates, if there is a ConfigMap."""
    if not bundle.config_map:
        return Trust()
    # A key that is missing keeps the pod from starting, and kubelet names it.
    items = [{"key": bundle.key, "path": _FILE}]
    source = {"name": bundle.config_map, "items": items}
    return Trust(
        env=tuple({"name": name, "value": BUNDLE} for name in _VARIABLES),
        mounts=({"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True},),
        volumes=({"name": _VOLUME, "configMap": source},),
    )
