"""Target lists of the cluster, as the list job fetches them.

Only this job talks to the API server, so the others need not import its client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.api import TargetList
from anabranch.api.configmap import ConfigMap
from anabranch.cluster.client import Cluster
from anabranch.cluster.objects import Objects, Place, read_object

if TYPE_CHECKING:
    from anabranch.api.targetlist import TargetListSpec


async def fetch_list(namespace: str, name: str) -> tuple[TargetListSpec, bytes | None]:
    """Fetch a TargetList's spec and the content of the ConfigMap that it names.

    Raises:
        LookupError: When one of them is missing, or the ConfigMap lacks the key.
    """
    cluster = await Cluster.connect()
    try:
        return await _fetch(Objects(cluster), namespace, name)
    finally:
        await cluster.close()


async def _fetch(
    objects: Objects, namespace: str, name: str
) -> tuple[TargetListSpec, bytes | None]:
    place = Place("TargetList", namespace, name)
    body = await objects.get(place)
    if body is None:
        raise LookupError(f"{place} is gone")
    spec = read_object(TargetList, body).spec
    wanted = spec.place.config_map
    if wanted is None:
        return spec, None
    place = Place("ConfigMap", namespace, wanted.name)
    found = await objects.get(place)
    if found is None:
        raise LookupError(f"{place} is gone")
    content = read_object(ConfigMap, found).content(wanted.key)
    if content is None:
        raise LookupError(f"{place} has no key {wanted.key!r} any more")
    return spec, content
