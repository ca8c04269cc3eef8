"""Lists that Kubernetes merges item by item: as sets, or as maps by a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True)
class Distinct:
    """Annotate a tuple with distinct items, to which several owners can add."""

    by: str | None = None
    """The attribute that must differ between items; by default the whole item."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check that the items are distinct, after each has been validated."""
        return core_schema.no_info_after_validator_function(
            self._check, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add Kubernetes' list type to the schema."""
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
