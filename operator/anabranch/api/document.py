"""Read YAML as Kubernetes does, within bounds, and find the line of a field."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]
"""The path to a value in a document: names of fields and indices of items."""

MAX_DEPTH = 64
"""How deep lists and mappings may be nested."""
MAX_VALUES = 1_000_000
"""The most values in a document. An alias counts as all the values it stands for."""


class DocumentError(Exception):
    """A text that is not a YAML document, or that exceeds the bounds."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


def read_documents(content: bytes) -> Iterator[yaml.Node]:
    """Yield the documents of a YAML text, and refuse those that would exhaust a reader.

    Raises:
        DocumentError: If the text is not YAML, is nested too deep, or has too many
            values.
    """
    try:
        _check_depth(content)
        for node in yaml.compose_all(content, _Loader):
            _count_values(node, {})
            yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise DocumentError(line, f"not YAML: {error.problem}; mend it") from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise DocumentError(1, f"not text: {reason}; save it as UTF-8") from error


def read_value(node: yaml.Node) -> Any:
    """Return the value of a document as JSON has it.

    As in the API server, fields that are null are left out.

    Raises:
        DocumentError: If a value does not match its tag.
    """
    try:
        return _drop_nulls(_Constructor().construct_document(node))
    except yaml.constructor.ConstructorError as error:
        mark = error.problem_mark
        line = (mark.line if mark else node.start_mark.line) + 1
        raise DocumentError(line, f"{error.problem}; write plain YAML") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        line = node.start_mark.line + 1
        message = f"a value is not what it is tagged as ({error}); write plain YAML"
        raise DocumentError(line, message) from error


def find_line(node: yaml.Node, path: Path) -> int:
    """Return the line of a field, or of the closest parent that is in the document."""
    line: int = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            pairs = [(item, item) for item in node.value[part : part + 1]]
        else:
            pairs = []
        if not pairs:
            break
        [(start, node), *_] = pairs
        line = start.start_mark.line + 1
    return line


def find_repeated_fields(
    node: yaml.Node, path: Path = ()
) -> Iterator[tuple[Path, int]]:
    """Yield the path and line of each field that repeats a name in its mapping."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from find_repeated_fields(item, (*path, index))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*path, name), key.start_mark.line + 1
            seen.add(name)
            yield from find_repeated_fields(value, (*path, name))


def _check_depth(content: bytes) -> None:
    """Refuse a nesting that would exhaust the stack of the composer, which recurses."""
    depth = 0
    # Broken text is the composer's to report, behind the documents before it.
    with contextlib.suppress(yaml.MarkedYAMLError):
        for event in yaml.parse(content, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                message = f"nested more than {MAX_DEPTH} deep; is this a manifest?"
                raise DocumentError(line, message)


def _count_values(node: yaml.Node, counted: dict[int, int]) -> int:
    """Return how many values a node stands for, with its aliases written out.

    ``counted`` keeps the counts of nodes by their id, so that each is visited once.
    """
    if id(node) in counted:
        if not (count := counted[id(node)]):
            message = "an anchor holds an alias of itself; write it out"
            raise DocumentError(node.start_mark.line + 1, message)
        return count
    counted[id(node)] = 0
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_count_values(item, counted) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        count += sum(_count_values(value, counted) for _, value in node.value)
    if count > MAX_VALUES:
        message = f"aliases stand for more than {MAX_VALUES} values; write them out"
        raise DocumentError(node.start_mark.line + 1, message)
    counted[id(node)] = count
    return count


def _drop_nulls(value: Any) -> Any:
    """Leave out fields that are null, and turn whole floats into integers."""
    match value:
        case dict():
            kept = {k: v for k, v in value.items() if v is not None or k in _NO_NULL}
            return {name: _drop_nulls(field) for name, field in kept.items()}
        case list():
            return [_drop_nulls(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


_NO_NULL = {"allow"}
"""Fields that may not be dropped when null: an absent `allow` would allow all."""


class _Loader(yaml.CSafeLoader):
    """A loader that resolves plain scalars as Kubernetes does: no times, no base 60."""


class _Constructor(yaml.constructor.SafeConstructor):
    """A constructor of the values of scalars, as Kubernetes reads them."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Read a decimal, ``0x``, ``0o`` or ``0b`` number, or octal with leading 0."""
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        digits = text.lstrip("+-")
        base = 8 if digits != "0" and re.fullmatch("0[0-7]+", digits) else 0
        return int(text, base)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Read a decimal with a point or an exponent, ``.inf`` or ``.nan``."""
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        return float(re.sub(r"\.(?=inf|nan)", "", text))

    def construct_yaml_bool(self, node: yaml.ScalarNode) -> bool:
        """Read a boolean of YAML 1.1, where yes and on are true."""
        text = str(self.construct_scalar(node)).lower()
        if text not in {"y", "yes", "true", "on", "n", "no", "false", "off"}:
            raise ValueError(f"{text} is no boolean")
        return text in {"y", "yes", "true", "on"}


_FORMS = {
    "bool": (
        r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|"
        r"on|On|ON|off|Off|OFF",
        "yYnNtTfFoO",
    ),
    "int": (
        r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)",
        "-+0123456789",
    ),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|"
        r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": (r"<<", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _name, (_form, _first) in _FORMS.items():
    _tag = f"tag:yaml.org,2002:{_name}"
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_form})$"), list(_first))
for _name in ("int", "float", "bool"):
    _Constructor.add_constructor(
        f"tag:yaml.org,2002:{_name}", getattr(_Constructor, f"construct_yaml_{_name}")
    )
