"""The environment that tells a container where the object store is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.store.environment import BUCKET, ENDPOINT

if TYPE_CHECKING:
    from anabranch.manifests.settings import StoreSettings


def describe_store(
    store: StoreSettings, more: dict[str, str] | None = None, *, secret: str = ""
) -> dict[str, Any]:
    """Return the environment of a container that uses the store, with ``more``.

    ``secret`` has its credentials, by default those of the operator.
    """
    secret = secret or store.secret
    values = {BUCKET: store.bucket, ENDPOINT: store.endpoint, **(more or {})}
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in values.items() if value
    ]
    return {
        "env": variables,
        "envFrom": [{"secretRef": {"name": secret}}] if secret else [],
    }
