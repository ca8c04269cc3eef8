"""The base of all kinds: frozen models with rules that the API server checks too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetJsonSchemaHandler, ValidationError
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, ErrorDetails


@dataclass(frozen=True)
class Rule:
    """A condition on one model's fields together.

    It is written twice: for Python, and in CEL for the API server. The same table of
    cases tests both.
    """

    holds: Callable[[Any], bool]
    """Return whether a model meets the condition."""
    cel: str
    """The same condition in CEL, as an expression over ``self``."""
    message: str
    """The error message: what must hold, and so what to do."""


@dataclass(frozen=True)
class Transition:
    """A condition on a change of a model."""

    holds: Callable[[Any, Any], bool]
    """Return whether the change from the first model to the second is allowed."""
    cel: str
    """The same condition in CEL, as an expression over ``oldSelf`` and ``self``."""
    message: str
    """The error message: what must hold, and so what to do."""


class Model(BaseModel):
    """A frozen part of a kind, with camelCase names in JSON and YAML.

    Types are strict: ``"5"`` is not a number.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()

    @classmethod
    def read(cls, value: Any) -> Self:
        """Return a model of a value that was read from JSON or YAML.

        Raises:
            ValidationError: If the value is invalid, with all errors; see
                `find_errors`.
            TypeError: If JSON can't express the value.
        """
        return cls.model_validate_json(json.dumps(value), by_alias=True, by_name=False)

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise PydanticCustomError("rule", "{broken}", {"broken": "; ".join(broken)})
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Add the rules to the schema as Kubernetes' validation rules."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        rules: tuple[Rule | Transition, ...] = (*cls.rules, *cls.transitions)
        if rules:
            schema["x-kubernetes-validations"] = [
                {"rule": rule.cel, "message": rule.message} for rule in rules
            ]
        return schema


def find_errors(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors of a validation, without those that only follow from others.

    Pydantic does not count an invalid item of a list, and may then find the list too
    short.
    """
    errors = error.errors()
    places = [details["loc"] for details in errors]
    return [
        details
        for details in errors
        if details["type"] != "too_short"
        or not any(
            details["loc"] == loc[: len(details["loc"])] != loc for loc in places
        )
    ]


def broken_transitions(old: Model, new: Model) -> list[str]:
    """Return the messages of the transition rules that a change breaks.

    As in the API server, the rules of nested models apply where both versions have
    the nested model.
    """
    broken = [rule.message for rule in new.transitions if not rule.holds(old, new)]
    for name in type(new).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Model) and isinstance(after, Model):
            broken += broken_transitions(before, after)
    return broken
