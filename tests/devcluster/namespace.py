"""A namespace of a cluster, and plain HTTP to its objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anabranch.api import KINDS
from anabranch.api.resource import API_VERSION

if TYPE_CHECKING:
    from kubernetes import client

_PLURAL = {kind.__name__: kind.plural for kind in KINDS} | {"ConfigMap": "configmaps"}


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    body: dict[str, Any]

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Fields and messages of a refusal."""
        causes = self.body.get("details", {}).get("causes", [])
        return [(cause.get("field", ""), cause.get("message", "")) for cause in causes]


@dataclass(frozen=True)
class Namespace:
    """A namespace, and what can be done in it."""

    connection: client.ApiClient
    name: str

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        accept: str = "",
        content: str = "application/json",
    ) -> Answer:
        """One request, whatever comes of it."""
        config = self.connection.configuration
        headers = {
            "Authorization": config.api_key["authorization"],
            "Content-Type": content,
            "Accept": accept or "application/json",
        }
        url = f"{config.host}{path}"
        response = self.connection.call_api(method, url, headers, body)
        text: bytes = response.read()  # type: ignore[no-untyped-call]
        is_json = response.headers.get("Content-Type", "").startswith(
            "application/json"
        )
        # Of a path that is not served yet the answer is a plain text.
        body_of = json.loads(text) if is_json else {"message": text.decode()}
        return Answer(response.status, body_of)

    def path(self, kind: str, name: str = "") -> str:
        """The path of a kind's objects here, or of one of them."""
        api = "/api/v1" if kind == "ConfigMap" else f"/apis/{API_VERSION}"
        folder = f"{api}/namespaces/{self.name}/{_PLURAL[kind]}"
        return f"{folder}/{name}" if name else folder

    def create(self, manifest: dict[str, Any]) -> Answer:
        """Creates an object, refusing unknown fields."""
        path = f"{self.path(manifest['kind'])}?fieldValidation=Strict"
        return self.call("POST", path, manifest)

    def replace(self, manifest: dict[str, Any], part: str = "") -> Answer:
        """Replaces an object, or its status."""
        path = self.path(manifest["kind"], manifest["metadata"]["name"]) + part
        return self.call("PUT", path, manifest)
