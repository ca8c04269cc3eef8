"""Lists that Kubernetes merges: sets, and maps by a key of their items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True)
class Distinct:
    """Annotates a tuple whose items differ, so that several owners can add to it."""

    by: str | None = None
    """The attribute that tells the items apart; by default they do so themselves."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Checks the items once each of them is valid."""
        return core_schema.no_info_after_validator_function(
            self._check, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Names the list's type, as Kubernetes does."""
        merged = (
            {"x-kubernetes-list-type": "set"}
            if self.by is None
            else {
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": [self.by],
            }
        )
        return handler(schema) | merged

    def _check(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        seen = set()
        for item in items:
            key = item if self.by is None else getattr(item, self.by)
            if key in seen:
                raise PydanticCustomError(
                    "duplicate", "'{key}' stands twice; remove one", {"key": key}
                )
            seen.add(key)
        return items
