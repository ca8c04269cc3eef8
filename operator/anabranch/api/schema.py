"""Build CustomResourceDefinitions from the models.

The schemas are structural: references are replaced with what they refer to, `null` is
left out (a field is absent instead), and keywords that OpenAPI 3.0 lacks are rewritten
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anabranch.api.resource import CATEGORY, GROUP, VERSION

if TYPE_CHECKING:
    from anabranch.api.model import Model
    from anabranch.api.resource import Column, Resource

Schema = dict[str, Any]

MAX_BYTES = 100_000
"""The largest size of a CRD, well below the 256 KiB that `kubectl apply` can
annotate."""

_NESTED = {"items", "additionalProperties"}
_KEPT = {
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
}
# Patterns of names stand in metadata alone, which the API server checks by itself.
_LEFT_OUT = {
    "title",
    "additionalProperties",
    "$defs",
    "patternProperties",
    "propertyNames",
}


def build_crd(kind: type[Resource]) -> Schema:
    """Return the CustomResourceDefinition of a kind, ready to be written as YAML."""
    name = kind.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "singular": name.lower(),
                "plural": kind.plural,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": build_schema(kind)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        _build_column(column) for column in kind.columns
                    ],
                }
            ],
        },
    }


def build_schema(kind: type[Resource]) -> Schema:
    """Return the structural schema of a kind's objects."""
    root = describe(kind)
    # The API server knows and checks these by itself.
    root["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    root["required"] = ["metadata", "spec"]
    # kstatus takes an object without conditions for ready if the generations agree.
    root["properties"]["status"]["default"] = {"observedGeneration": -1}
    return root


def describe(model: type[Model]) -> Schema:
    """Return the structural schema of a model."""
    source = model.model_json_schema(by_alias=True)
    return _convert(source, source.get("$defs", {}))


def _build_column(column: Column) -> Schema:
    built: Schema = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
    }
    return built | ({"priority": 1} if column.wide else {})


def _convert(source: Schema, definitions: Schema) -> Schema:
    """Convert a JSON Schema to the structural subset of OpenAPI 3.0."""
    source = _inline(source, definitions)
    schema: Schema = {}
    for key, value in source.items():
        if key in _NESTED and isinstance(value, dict):
            schema[key] = _convert(value, definitions)
        elif key == "properties":
            schema[key] = {
                name: _convert(field, definitions) for name, field in value.items()
            }
        else:
            schema |= _convert_keyword(key, value)
    return schema


def _inline(source: Schema, definitions: Schema) -> Schema:
    """Replace a reference with its target, and a choice with its non-null option."""
    source = dict(source)
    if reference := source.pop("$ref", None):
        return _inline(definitions[reference.rpartition("/")[2]] | source, definitions)
    if options := source.pop("anyOf", None):
        (present,) = (option for option in options if option != {"type": "null"})
        return _inline(present, definitions) | source
    return source


def _convert_keyword(key: str, value: Any) -> Schema:
    """Convert one keyword whose value is not a schema to OpenAPI 3.0."""
    match key:
        case "description":
            return {key: " ".join(value.split())}
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {key: True, key.removeprefix("exclusive").lower(): value}
        case "default" if isinstance(value, dict):
            # The parts have their own defaults, which an empty object takes.
            return {key: {}}
        case _ if key in _LEFT_OUT or (key == "default" and value in (None, [], "")):
            return {}
        case _ if key in _KEPT:
            return {key: value}
        case _:
            raise ValueError(f"no structural counterpart of {key}: {value!r}")
