"""Read manifests into checked objects, and report all problems at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import ValidationError

from anabranch.api import KINDS, Agent, Measurement, Survey, TargetList
from anabranch.api.configmap import ConfigMap
from anabranch.api.document import (
    DocumentError,
    Path,
    find_line,
    find_repeated_fields,
    read_documents,
    read_value,
)
from anabranch.api.model import find_errors
from anabranch.api.report import escape, explain, show_path, show_text, show_value
from anabranch.api.resource import API_VERSION, Resource
from anabranch.api.survey import FIRST_CYCLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import yaml

T_co = TypeVar("T_co", covariant=True)
Object = Resource | ConfigMap
ObjectT = TypeVar("ObjectT", bound=Agent | ConfigMap | Measurement | TargetList)
Key = tuple[str, str]
"""Namespace and name."""

_KINDS: tuple[type[Object], ...] = (*KINDS, ConfigMap)
_READ = {kind.__name__: kind for kind in _KINDS}


@dataclass(frozen=True)
class Source:
    """A text with manifests, and its name in reports."""

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
        """Return the place as people read it and as editors jump to it."""
        if not self.document:
            return self.source
        subject = f", {self.subject}" if self.subject else ""
        return f"{self.source}:{self.line}: document {self.document}{subject}"


@dataclass(frozen=True)
class Problem:
    """A problem in a manifest, with its place and its remedy."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        """Return one line with the place, the field and the remedy."""
        field = f": {show_path(self.path)}" if self.path else ""
        return escape(f"{self.place}{field}: {self.message}")


class ManifestError(Exception):
    """Manifests can't be used; the error has all their problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Document(Generic[T_co]):
    """One object and its place in a manifest."""

    place: Place
    node: yaml.Node
    object: T_co
    prefix: Path = ()
    """Where the object is in its document, if it is a part of another one."""

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem with a field of the object."""
        path = (*self.prefix, *path)
        place = replace(self.place, line=find_line(self.node, path))
        return Problem(place, path, message)


@dataclass(frozen=True)
class Manifests:
    """The objects of all sources, in order.

    They are complete only if ``broken`` is empty.
    """

    documents: tuple[Document[Object], ...]
    broken: tuple[Problem, ...] = ()
    """Problems of documents that are invalid, or that repeat an object."""

    def of_kind(self, kind: type[T_co]) -> list[Document[T_co]]:
        """Return the documents that hold objects of a kind."""
        found = [each for each in self.documents if isinstance(each.object, kind)]
        return cast("list[Document[T_co]]", found)

    def of_measurements(self) -> list[Document[Measurement]]:
        """Return all Measurements, with those that the templates of Surveys make."""
        surveys = self.of_kind(Survey)
        made = [make_measurement(each, FIRST_CYCLE) for each in surveys]
        return [*self.of_kind(Measurement), *made]

    def find(self, kind: type[ObjectT], key: Key) -> Document[ObjectT] | None:
        """Return the document that holds an object of this kind and key, or None."""
        found = (each for each in self.of_kind(kind) if each.object.key == key)
        return next(found, None)

    def may_hold(self, kind: type[Object], name: str = "") -> bool:
        """Return whether a broken document may hold an object of this kind and name."""
        wanted = f"{kind.__name__} {name}".rstrip()
        return any(
            (problem.place.subject if name else problem.place.subject.split(" ")[0])
            in {wanted, ""}
            for problem in self.broken
        )


def make_measurement(survey: Document[Survey], number: int) -> Document[Measurement]:
    """Return the Measurement of a survey's cycle, as a part of its document."""
    made = survey.object.make_measurement(number)
    template: Path = ("spec", "measurementTemplate")
    return Document(survey.place, survey.node, made, prefix=template)


def read_manifests(sources: Iterable[Source]) -> Manifests:
    """Read the objects of all sources, and check each of them and that names differ."""
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


def _read_source(source: Source) -> Iterator[Document[Object] | Problem]:
    number = 0
    try:
        for node in read_documents(source.content):
            number += 1
            place = Place(source.name, number, node.start_mark.line + 1)
            yield from _read_document(node, place)
    except DocumentError as error:
        yield Problem(Place(source.name, number + 1, error.line), (), str(error))


def _read_document(
    node: yaml.Node, place: Place
) -> Iterator[Document[Object] | Problem]:
    repeated = list(find_repeated_fields(node))
    if repeated:
        for path, line in repeated:
            place_there = replace(place, line=line)
            yield Problem(place_there, path, "the field stands twice; remove one")
        return
    try:
        value = read_value(node)
    except DocumentError as error:
        yield Problem(replace(place, line=error.line), (), str(error))
        return
    if value is None:
        return
    if not isinstance(value, dict):
        yield Problem(
            place, (), "a document must be a mapping with apiVersion and kind"
        )
        return
    place = replace(place, subject=_name_subject(value))
    if refusal := _refuse_kind(value):
        yield Problem(place, *refusal)
        return
    model = _READ[value["kind"]]
    try:
        yield Document(place, node, model.read(value))
    except TypeError as error:
        yield Problem(place, (), f"holds what JSON can't: {error}; write it as text")
    except ValidationError as error:
        for details in find_errors(error):
            path = details["loc"]
            line = find_line(node, path)
            yield Problem(replace(place, line=line), path, explain(details, model))


def _name_subject(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return " ".join(show_text(str(part)) for part in (value.get("kind"), name) if part)


def _refuse_kind(value: dict[str, Any]) -> tuple[Path, str] | None:
    """Return why the kind of a document can't be read, or None if it can."""
    kind, version = value.get("kind"), value.get("apiVersion")
    if not isinstance(kind, str) or kind not in _READ:
        shown = show_value(kind)
        near = get_close_matches(shown, _READ, n=1)
        known = f"did you mean {near[0]}?" if near else f"known are {', '.join(_READ)}"
        return ("kind",), f"unknown kind {shown}; {known}"
    expected = "v1" if kind == ConfigMap.__name__ else API_VERSION
    if version != expected:
        shown = show_value(version)
        return ("apiVersion",), f"of kind {kind} it must be {expected}, not {shown}"
    return None


def _find_duplicates(documents: list[Document[Object]]) -> Iterator[Problem]:
    first: dict[tuple[type[Object], Key], Document[Object]] = {}
    for document in documents:
        known = first.setdefault((type(document.object), document.object.key), document)
        if known is not document:
            yield document.problem(
                ("metadata", "name"),
                f"the same object stands at {known.place}; rename or remove one",
            )
