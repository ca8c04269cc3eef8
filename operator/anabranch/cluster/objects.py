"""Objects of the API server: where they are, and how they are read and changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from anabranch.api import KINDS
from anabranch.api.resource import API_VERSION
from anabranch.cluster.client import (
    APPLY,
    CONFLICT,
    JSON,
    MERGE,
    NOT_FOUND,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anabranch.api.model import Model
    from anabranch.cluster.client import Cluster

    Kind = TypeVar("Kind", bound=Model)

MANAGER = "anabranch-operator"
"""The field manager of the operator's fields, as the API server knows it."""
_PLACES = {
    "ConfigMap": ("v1", "configmaps"),
    "Event": ("events.k8s.io/v1", "events"),
    "Job": ("batch/v1", "jobs"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Node": ("v1", "nodes"),
    "Pod": ("v1", "pods"),
    "Secret": ("v1", "secrets"),
} | {kind.__name__: (API_VERSION, kind.plural) for kind in KINDS}
_META = (
    *("name", "namespace", "labels", "annotations", "uid", "generation"),
    *("resourceVersion", "creationTimestamp", "deletionTimestamp"),
)
"""The metadata that our code reads."""


class ForeignError(Exception):
    """A conflict with an object that has a child's name but is not that child."""


@dataclass(frozen=True)
class Place:
    """The place of an object."""

    kind: str
    namespace: str
    """The empty string for all namespaces."""
    name: str = ""

    @property
    def path(self) -> str:
        """The path of the object; without a name, that of all objects of the kind."""
        version, plural = _PLACES[self.kind]
        root = "/api" if "/" not in version else "/apis"
        space = f"/namespaces/{self.namespace}" if self.namespace else ""
        path = f"{root}/{version}{space}/{plural}"
        return f"{path}/{self.name}" if self.name else path

    @staticmethod
    def of(manifest: Mapping[str, Any]) -> Place:
        """Return the place of a manifest's object."""
        metadata = manifest["metadata"]
        return Place(manifest["kind"], metadata["namespace"], metadata["name"])

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def read_object(kind: type[Kind], body: Mapping[str, Any]) -> Kind:
    """Read an object of a kind from what the API server says.

    Raises:
        ValidationError: When the object is not valid for this version of the kind.
    """
    metadata = body["metadata"]
    kept = {name: metadata[name] for name in _META if name in metadata}
    return kind.read({**body, "metadata": kept})


@dataclass(frozen=True)
class Objects:
    """Access to objects, which reads and changes them."""

    cluster: Cluster

    async def get(self, place: Place) -> dict[str, Any] | None:
        """Return an object, or None if it does not exist."""
        try:
            return await self.cluster.request("GET", place.path)
        except RefusedError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def list(self, place: Place, selector: str) -> list[dict[str, Any]]:
        """Return the objects of a kind that a label selector chooses."""
        query = {"labelSelector": selector}
        answer = await self.cluster.request("GET", place.path, query=query)
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a child; accept an existing object that has the same labels.

        Raises:
            ForeignError: When another object has its name.
        """
        place = Place.of(manifest)
        folder = Place(place.kind, place.namespace)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        try:
            return await self.cluster.request(
                "POST", folder.path, query=query, body=manifest
            )
        except RefusedError as error:
            if error.status != CONFLICT:
                raise
        found = await self.get(place)
        if found is None:
            return await self.create(manifest)
        wanted = manifest["metadata"]["labels"].items()
        if not wanted <= found["metadata"].get("labels", {}).items():
            raise ForeignError(
                f"{place} is in the way and not ours; remove it or rename it"
            )
        return found

    async def create_unread(self, manifest: Mapping[str, Any]) -> None:
        """Create an object that we may not read; leave one of its name as it is."""
        place = Place.of(manifest)
        folder = Place(place.kind, place.namespace)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        try:
            await self.cluster.request("POST", folder.path, query=query, body=manifest)
        except RefusedError as error:
            if error.status != CONFLICT:
                raise

    async def apply_status(
        self, place: Place, status: Mapping[str, Any], **known: str
    ) -> None:
        """Write an object's status; do nothing if the object is gone.

        ``known`` is metadata that must still be so, such as ``uid``.

        Raises:
            RefusedError: With status 409, when ``known`` is not so any more.
        """
        version, _ = _PLACES[place.kind]
        metadata = {"name": place.name, "namespace": place.namespace, **known}
        body = {
            "apiVersion": version,
            "kind": place.kind,
            "metadata": metadata,
            "status": status,
        }
        query = {"fieldManager": MANAGER, "force": "true"}
        await self._unless_gone("PATCH", f"{place.path}/status", query, body, APPLY)

    async def patch(self, place: Place, changes: Mapping[str, Any]) -> None:
        """Merge changes into an object; do nothing if it is gone."""
        query = {"fieldManager": MANAGER}
        await self._unless_gone("PATCH", place.path, query, changes, MERGE)

    async def delete(self, place: Place, uid: str) -> None:
        """Delete an object and what it owns; leave another object of its name."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._unless_gone("DELETE", place.path, {}, body, JSON)
        except RefusedError as error:
            if error.status != CONFLICT:
                raise

    async def _unless_gone(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any],
        content: str,
    ) -> None:
        try:
            await self.cluster.request(
                method, path, query=query, body=body, content=content
            )
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
