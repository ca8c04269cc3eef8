"""What all kinds share: metadata, status and conditions, names and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from anabranch.api.lists import Distinct
from anabranch.api.model import Model
from anabranch.api.text import (
    Count,
    DnsLabel,
    DnsSubdomain,
    LabelName,
    LabelValue,
    Timestamp,
)

GROUP = "anabranch.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "anabranch"


class ObjectMeta(Model):
    """The standard metadata of an object (Kubernetes' ``meta/v1`` ``ObjectMeta``)."""

    name: DnsSubdomain
    """The object's name, unique within its kind and namespace."""
    namespace: DnsLabel = "default"
    """The namespace."""
    labels: dict[LabelName, LabelValue] = {}
    """Labels, by which selectors choose objects."""
    annotations: dict[str, str] = {}
    """Notes for tools."""
    uid: str = ""
    """The object's UID; set by the API server."""
    generation: int = 0
    """The number of the spec's version; set by the API server."""
    resource_version: str = ""
    """The version of the object; set by the API server."""
    creation_timestamp: Timestamp | None = None
    """When the object was created; set by the API server."""
    deletion_timestamp: Timestamp | None = None
    """When deletion was asked for; set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """How long the deletion may take; set by the API server."""
    finalizers: tuple[str, ...] = ()
    """Names of the tasks that must be done before the object is deleted."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """The owners of the object; when all are deleted, it is deleted too."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Who set which fields; set by the API server."""
    self_link: str = ""
    """The object's URL; set by old API servers."""


class Condition(Model):
    """One aspect of an object's state (Kubernetes' ``meta/v1`` ``Condition``)."""

    type: Annotated[str, Field(max_length=316, pattern="^[A-Z][A-Za-z]*$")]
    """The name of the condition, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    observed_generation: Count | None = None
    """The generation of the spec that the condition refers to."""
    last_transition_time: Timestamp
    """When the status last changed."""
    reason: Annotated[
        str,
        Field(max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, and what to do, for people."""


class Status(Model):
    """The observed state of an object."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """The generation of the spec that the status refers to; -1 before the first
    status."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16),
        Distinct(by="type"),
    ] = ()
    """The conditions, each for one aspect of the state."""


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    path: str
    """The JSON path of the value."""
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    wide: bool = False
    """Whether the column is shown only with ``-o wide``."""


def condition_column(kind: str, *, field: str = "status", name: str = "") -> Column:
    """Return a column for a field of the condition of this type."""
    path = f'.status.conditions[?(@.type=="{kind}")].{field}'
    return Column(name or kind, path)


AGE = Column("Age", ".metadata.creationTimestamp", "date")


class Resource(Model):
    """An object of one of our kinds."""

    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[Column, ...]]

    api_version: Literal["anabranch.dev/v1alpha1"]
    """The version of the kind."""
    kind: str
    """The kind."""
    metadata: ObjectMeta
    """Name, namespace, labels."""
    spec: Model
    """The desired state."""
    status: Status
    """The observed state."""

    @field_validator("kind")
    @classmethod
    def _is_own_kind(cls, kind: str) -> str:
        if kind != cls.__name__:
            raise ValueError(f"must be {cls.__name__}")
        return kind

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    def find_condition(self, kind: str) -> Condition | None:
        """Return the condition of a type, or None if it is absent or out of date."""
        if self.status.observed_generation != self.metadata.generation:
            return None
        return next((c for c in self.status.conditions if c.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Return whether a condition holds for the current spec."""
        condition = self.find_condition(kind)
        return condition is not None and condition.status == "True"
