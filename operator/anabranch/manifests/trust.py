"""How a container learns whose certificates it is to trust."""

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
"""What boto3 goes by; and what httpx and chdb do."""


@dataclass(frozen=True)
class Trust:
    """What a pod and its container have to have of it; nothing for the public CAs."""

    env: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()


def describe_trust(bundle: BundleSettings) -> Trust:
    """The certificates of the ConfigMap, if there is one."""
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
