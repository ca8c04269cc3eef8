"""`ConfigMap`, as far as target lists read it."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import AfterValidator

from anabranch.api.model import Model
from anabranch.api.resource import ObjectMeta


def _read_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


class ConfigMap(Model):
    """Kubernetes' ``core/v1`` ``ConfigMap``."""

    api_version: Literal["v1"]
    """The version of the kind."""
    kind: Literal["ConfigMap"]
    """The kind."""
    metadata: ObjectMeta
    """Name and namespace."""
    data: dict[str, str] = {}
    """Texts by key."""
    binary_data: dict[str, Annotated[str, AfterValidator(_read_base64)]] = {}
    """Bytes by key, in base 64."""
    immutable: bool = False
    """Whether the content is fixed."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    def content(self, key: str) -> bytes | None:
        """Return the content of a key, or None if there is no such key."""
        if key in self.data:
            return self.data[key].encode()
        encoded = self.binary_data.get(key)
        return None if encoded is None else base64.b64decode(encoded)
