"""What says what is known about addresses."""

from __future__ import annotations

from anabranch.api.model import Model
from anabranch.api.text import UserKey


class AnnotationObject(Model):
    """An object in the object store that says what is known about addresses."""

    key: UserKey
    """The object's key. The object is an MMDB, CAIDA's prefix2as, an MRT RIB dump, or
    PeeringDB's JSON, plain or compressed with gzip or bzip2."""


class AnnotationSource(Model):
    """What says what is known about addresses: AS, name, country, exchange point."""

    object: AnnotationObject
    """An object in the object store."""
