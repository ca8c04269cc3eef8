"""Manifests that nobody should have written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anabranch.api.manifest import ManifestError
from anabranch.local.manifest import load_manifests

if TYPE_CHECKING:
    import random

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXTS = [
    file.read_text()
    for file in sorted([*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("kinds/*.yaml")])
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "-1", "0.0.0.0/0", "::/0", "1e400", "NaN", "=", "~", "*a"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def list_places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something is in a document."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    found = [place]
    if isinstance(inner, dict):
        for key, each in inner.items():
            found += list_places(each, (*place, key))
    return found


def put(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    """A document with something else in a place."""
    if not place:
        return other
    head, *tail = place
    value[head] = put(value[head], tuple(tail), other)
    return value


def load(text: str) -> list[str]:
    """Load manifests; return the problems, in lines without control characters."""
    try:
        load_manifests(["-"], lambda: io.BytesIO(text.encode("utf-8", "replace")))
    except ManifestError as error:
        told = [str(problem) for problem in error.problems]
        assert all(problem.isprintable() for problem in told)
        return told
    return []


@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False), VALUES)
def test_any_value_in_any_place_is_taken_or_refused(
    text: str, draw: random.Random, value: Any
) -> None:
    """By a problem of a line; nothing else is raised."""
    documents = [each for each in yaml.safe_load_all(text) if each]
    number = draw.randrange(len(documents))
    place = draw.choice(list_places(documents[number]))
    documents[number] = put(documents[number], place, value)
    load(yaml.safe_dump_all(documents))


@given(
    st.sampled_from(TEXTS),
    st.randoms(use_true_random=False),
    st.text(min_size=1, max_size=6),
)
def test_any_text_in_any_place_is_taken_or_refused(
    text: str, draw: random.Random, other: str
) -> None:
    """Also where it is no YAML any more."""
    at = draw.randrange(len(text))
    load(text[:at] + other + text[at + draw.randrange(3) :])


@pytest.mark.parametrize("text", ["", "---", "[]", "a", "\x00", "&a [*a]", "? ?", "%"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    """Whether it is YAML or not."""
    assert load(text)


@pytest.mark.parametrize("value", ["a", [], {}, [{"b": 1}]])
def test_names_with_control_characters_are_refused(value: Any) -> None:
    """Whatever they name."""
    head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": "Agent"}
    metadata = {"name": "paris", "labels": {"\x05": value}}
    text = yaml.safe_dump({**head, "metadata": metadata, "spec": {"nodeName": "n1"}})
    assert any("x05" in problem for problem in load(text))
