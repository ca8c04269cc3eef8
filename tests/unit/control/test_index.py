"""An index has each object under its present keys, and no others."""

from __future__ import annotations

from anabranch.control.index import Index

A, B = ("", "a"), ("", "b")


def read(index: Index[str]) -> dict[tuple[str, str], set[str]]:
    """All that it has."""
    return {key: set(values) for key, values in index.items()}


def test_objects_share_keys() -> None:
    """Each has its own value there."""
    index = Index[str]()
    index.replace("1", {A: "one", B: "one"})
    index.replace("2", {A: "two"})
    assert read(index) == {A: {"one", "two"}, B: {"one"}}
    assert len(index) == 2
    assert list(index[B]) == ["one"]


def test_what_an_object_had_before_goes() -> None:
    """With its last object, the key goes, too."""
    index = Index[str]()
    index.replace("1", {A: "one", B: "one"})
    index.replace("1", {A: "changed"})
    assert read(index) == {A: {"changed"}}
    index.replace("1", {})
    assert read(index) == {}


def test_an_object_goes_from_all_its_keys() -> None:
    """One that is not known leaves all as it is."""
    index = Index[str]()
    index.replace("1", {A: "one", B: "one"})
    index.replace("2", {A: "two"})
    index.discard("1")
    index.discard("3")
    assert read(index) == {A: {"two"}}
