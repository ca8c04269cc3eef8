"""What says what is known about addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from anabranch.api.model import Model, Rule
from anabranch.api.text import DnsSubdomain, UserKey

if TYPE_CHECKING:
    from collections.abc import Iterable


class AnnotationObject(Model):
    """An object in the object store that says what is known about addresses."""

    key: UserKey
    """The object's key. The object is an MMDB, CAIDA's prefix2as, an MRT RIB dump, or
    PeeringDB's JSON, plain or compressed with gzip or bzip2."""


class StoredSource(Model):
    """What says to an agent what is known about addresses."""

    object: AnnotationObject
    """An object in the object store."""


class AnnotationKey(Model):
    """A key of a ConfigMap that says what is known about addresses."""

    name: DnsSubdomain
    """The ConfigMap's name."""
    key: Annotated[str, Field(max_length=253, pattern="^[-._a-zA-Z0-9]+$")]
    """The key that holds what an object may hold: text under `data`, anything else
    under `binaryData`."""


class AnnotationSource(Model):
    """What says what is known about addresses: AS, name, country, exchange point."""

    rules = (
        Rule(
            lambda source: (source.config_map is None) != (source.object is None),
            "has(self.configMap) != has(self.object)",
            "give exactly one of configMap, object",
        ),
    )

    config_map: AnnotationKey | None = None
    """A key of a ConfigMap in the Measurement's namespace, which has room for 1 MiB."""
    object: AnnotationObject | None = None
    """An object in the object store."""


def name_objects(sources: Iterable[AnnotationSource | StoredSource]) -> list[str]:
    """Return the keys of those sources that are objects in the store."""
    return [source.object.key for source in sources if source.object]
