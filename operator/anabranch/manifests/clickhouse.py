"""The environment that tells a container about a ClickHouse server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.warehouse.environment import CLUSTER, DATABASE, PASSWORD, URL, USER

if TYPE_CHECKING:
    from anabranch.manifests.settings import ClickHouseSettings


def describe_clickhouse(server: ClickHouseSettings) -> list[dict[str, Any]]:
    """Return the variables of a container that uses the server, if there is one."""
    if not server.url:
        return []
    values = {URL: server.url, DATABASE: server.database, CLUSTER: server.cluster}
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in values.items() if value
    ]
    if server.secret:
        variables += [
            {
                "name": name,
                "valueFrom": {"secretKeyRef": {"name": server.secret, "key": key}},
            }
            for name, key in ((USER, "username"), (PASSWORD, "password"))
        ]
    return variables
