"""What all kinds share: metadata, conditions, and how a kind names itself."""

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
    """The object's name, unique among its kind in the namespace."""
    namespace: DnsLabel = "default"
    """The namespace."""
    labels: dict[LabelName, LabelValue] = {}
    """Labels that selectors choose by."""
    annotations: dict[str, str] = {}
    """Notes for tools."""
    uid: str = ""
    """Given by the API server."""
    generation: int = 0
    """Counts the changes of the spec; given by the API server."""
    resource_version: str = ""
    """Given by the API server."""
    creation_timestamp: Timestamp | None = None
    """Given by the API server."""
    deletion_timestamp: Timestamp | None = None
    """Set by the API server once the object is to go."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server."""
    finalizers: tuple[str, ...] = ()
    """What must be done before the object goes."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """The objects that this one goes with."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Who set which fields; kept by the API server."""
    self_link: str = ""
    """Given by old API servers."""


class Condition(Model):
    """One aspect of an object's state (Kubernetes' ``meta/v1`` ``Condition``)."""

    type: Annotated[str, Field(max_length=316, pattern="^[A-Z][A-Za-z]*$")]
    """What it is about, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Count | None = None
    """The generation of the spec that it was found for."""
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
    """What has been observed of an object."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """The generation of the spec that the status speaks of; -1 before the first."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16),
        Distinct(by="type"),
    ] = ()
    """The state, one aspect each."""


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    path: str
    """Where the value is, as a JSON path."""
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    wide: bool = False
    """Shown with ``-o wide`` alone."""


def condition_column(kind: str, *, field: str = "status", name: str = "") -> Column:
    """The column that shows a field of the condition of a type."""
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
    """What is wanted."""
    status: Status
    """What is."""

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
        """The condition of a type, if it was found for the spec that there is."""
        if self.status.observed_generation != self.metadata.generation:
            return None
        return next((c for c in self.status.conditions if c.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Whether a condition holds of the spec that there is."""
        condition = self.find_condition(kind)
        return condition is not None and condition.status == "True"
