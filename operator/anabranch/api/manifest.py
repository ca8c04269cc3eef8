"""From the text of manifests to checked objects; every problem in one report."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import yaml
from pydantic import ValidationError

from anabranch.api import Agent, Measurement, ProbingPolicy, Round, TargetList
from anabranch.api.configmap import ConfigMap
from anabranch.api.model import find_errors
from anabranch.api.resource import API_VERSION
from anabranch.api.schema import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

T_co = TypeVar("T_co", covariant=True)
Object = Agent | ConfigMap | Measurement | ProbingPolicy | Round | TargetList
ObjectT = TypeVar("ObjectT", bound=Agent | ConfigMap | TargetList)
Key = tuple[str, str]
"""Namespace and name."""
Path = tuple[str | int, ...]
"""Where a value is in a document: names of fields and numbers of items."""

_READ: dict[str, type[Object]] = {
    kind.__name__: kind
    for kind in (Agent, ConfigMap, Measurement, ProbingPolicy, Round, TargetList)
}


@dataclass(frozen=True)
class Source:
    """A text with manifests, and the name that reports give it."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Place:
    """A place in a manifest, or a source as a whole."""

    source: str
    document: int = 0
    """The document's number in the source, from 1."""
    line: int = 0
    """The line's number in the source, from 1."""
    subject: str = ""
    """The object there, as kind and name."""

    def __str__(self) -> str:
        """For people and for editors that jump to a line."""
        if not self.document:
            return self.source
        subject = f", {self.subject}" if self.subject else ""
        return f"{self.source}:{self.line}: document {self.document}{subject}"


@dataclass(frozen=True)
class Problem:
    """What is wrong somewhere, and what to do."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        """One line: place, field and remedy."""
        field = f": {show_path(self.path)}" if self.path else ""
        return f"{self.place}{field}: {self.message}"


class ManifestError(Exception):
    """Manifests that can't be used, with all their problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Document(Generic[T_co]):
    """One object and where it was read."""

    place: Place
    node: yaml.Node
    object: T_co

    def problem(self, path: Path, message: str) -> Problem:
        """A problem with a field of the object."""
        place = replace(self.place, line=_find_line(self.node, path))
        return Problem(place, path, message)


@dataclass(frozen=True)
class Manifests:
    """The objects of all sources, in their order; of use when nothing is broken."""

    documents: tuple[Document[Object], ...]
    broken: tuple[Problem, ...] = ()
    """What is wrong with the documents that are no objects, or objects twice."""

    def of_kind(self, kind: type[T_co]) -> list[Document[T_co]]:
        """The documents that hold objects of a kind."""
        found = [each for each in self.documents if isinstance(each.object, kind)]
        return cast("list[Document[T_co]]", found)

    def find(self, kind: type[ObjectT], key: Key) -> Document[ObjectT] | None:
        """The document that holds the object of this kind and name."""
        found = (each for each in self.of_kind(kind) if each.object.key == key)
        return next(found, None)

    def may_hold(self, kind: type[ObjectT], name: str) -> bool:
        """Whether a broken document is about an object of this kind and name."""
        subject = f"{kind.__name__} {name}"
        return any(problem.place.subject == subject for problem in self.broken)


def read_manifests(sources: Iterable[Source]) -> Manifests:
    """The objects of all sources, each valid by itself and no two of one name."""
    documents: list[Document[Object]] = []
    broken: list[Problem] = []
    for source in sources:
        for read in _read_source(source):
            if isinstance(read, Document):
                documents.append(read)
            else:
                broken.append(read)
    broken += _find_duplicates(documents)
    return Manifests(tuple(documents), tuple(broken))


def show_path(path: Path) -> str:
    """A path as people write it: ``spec.agents[0].name``."""
    shown = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return shown.removeprefix(".")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a time is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != "tag:yaml.org,2002:timestamp"]
    for first, forms in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _read_source(source: Source) -> Iterator[Document[Object] | Problem]:
    number = 0
    try:
        for node in yaml.compose_all(source.content, _Loader):
            number += 1
            place = Place(source.name, number, node.start_mark.line + 1)
            yield from _read_document(node, place)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source.name, number + 1, mark.line + 1 if mark else 1)
        yield Problem(place, (), f"not YAML: {error.problem}; mend the text here")
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        yield Problem(Place(source.name), (), f"not text: {reason}; save it as UTF-8")


def _read_document(
    node: yaml.Node, place: Place
) -> Iterator[Document[Object] | Problem]:
    repeated = list(_find_repeated_fields(node))
    if repeated:
        for path, line in repeated:
            place_there = replace(place, line=line)
            yield Problem(place_there, path, "the field stands twice; remove one")
        return
    try:
        value = yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.constructor.ConstructorError as error:
        yield Problem(place, (), f"{error.problem}; write plain YAML")
        return
    if value is None:
        return
    if not isinstance(value, dict):
        yield Problem(
            place, (), "a document must be a mapping with apiVersion and kind"
        )
        return
    kind = value.get("kind")
    place = replace(place, subject=_name_subject(value))
    if refusal := _refuse_kind(value):
        yield Problem(place, ("kind",), refusal)
        return
    model = _READ[str(kind)]
    try:
        text = json.dumps(value)
        yield Document(place, node, model.model_validate_json(text))
    except TypeError as error:
        yield Problem(place, (), f"holds what JSON can't: {error}; write it as text")
    except ValidationError as error:
        for details in find_errors(error):
            path = details["loc"]
            line = _find_line(node, path)
            yield Problem(replace(place, line=line), path, _explain(details, model))


def _name_subject(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return " ".join(str(part) for part in (value.get("kind"), name) if part)


def _refuse_kind(value: dict[str, Any]) -> str | None:
    """Why a document's kind is not read, if so."""
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind not in _READ:
        near = get_close_matches(str(kind), _READ, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(_READ)}"
        return f"unknown kind {kind!r}; {known}"
    expected = "v1" if kind == ConfigMap.__name__ else API_VERSION
    if version != expected:
        return f"apiVersion of a {kind} must be {expected}, not {version!r}"
    return None


def _explain(details: ErrorDetails, model: type[Object]) -> str:
    """What is wrong with a value, and what to write instead."""
    *parents, field = details["loc"] or ("",)
    match details["type"]:
        case "extra_forbidden":
            known = _find_fields(model, tuple(parents))
            near = get_close_matches(str(field), known, n=1)
            advice = f"did you mean {near[0]}?" if near else "remove it"
            return f"unknown field; {advice}"
        case "missing":
            return "required; add it"
        case "rule" | "prefix" | "address" | "duplicate":
            return details["msg"]
        case _:
            message = re.sub("^(Input|String|Value) should", "must", details["msg"])
            given = details["input"]
            is_plain = isinstance(given, (str, int, float)) or given is None
            return f"{message}, not {given!r}" if is_plain else message


def _find_fields(model: type[Object], path: Path) -> list[str]:
    """The names that a mapping at this path may have."""
    schema = describe(model)
    for part in path:
        schema = (
            schema["items"] if isinstance(part, int) else schema["properties"][part]
        )
    return list(schema.get("properties", {}))


def _find_line(node: yaml.Node, path: Path) -> int:
    """The line of a field, or of the nearest that is there around it."""
    line: int = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
        elif isinstance(node, yaml.SequenceNode):
            index = int(part)
            pairs = [(item, item) for item in node.value[index : index + 1]]
        else:
            pairs = []
        if not pairs:
            break
        [(start, node)] = pairs
        line = start.start_mark.line + 1
    return line


def _find_repeated_fields(
    node: yaml.Node, path: Path = ()
) -> Iterator[tuple[Path, int]]:
    """Each field that stands twice in its mapping, with its line."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _find_repeated_fields(item, (*path, index))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*path, name), key.start_mark.line + 1
            seen.add(name)
            yield from _find_repeated_fields(value, (*path, name))


def _find_duplicates(documents: list[Document[Object]]) -> Iterator[Problem]:
    first: dict[tuple[type[Object], Key], Document[Object]] = {}
    for document in documents:
        known = first.setdefault((type(document.object), document.object.key), document)
        if known is not document:
            yield document.problem(
                ("metadata", "name"),
                f"the same object stands at {known.place}; rename or remove one",
            )
