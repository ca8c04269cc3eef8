"""What the models accept and refuse; tests/apiserver says the same of the CRDs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from anabranch.api import KINDS, Resource
from anabranch.api.model import broken_transitions, find_errors
from anabranch.api.report import show_path
from anabranch.api.schema import build_schema
from cases import CASES, STEPS, Case, Manifest, Step, merge, minimal

KIND = {kind.__name__: kind for kind in KINDS}


def read(manifest: Manifest) -> Any:
    return KIND[manifest["kind"]].read(manifest)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.says}")
def test_a_model_accepts_and_refuses_what_the_table_says(case: Case) -> None:
    """Each case is accepted, or refused at its field and in its words."""
    if not case.refused and not case.message:
        read(case.manifest)
        return
    with pytest.raises(ValidationError) as caught:
        read(case.manifest)
    (error,) = find_errors(caught.value)
    assert show_path(error["loc"]) == case.refused
    assert case.message in error["msg"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}: {step.says}")
def test_a_model_allows_the_changes_that_the_table_says(step: Step) -> None:
    """Each step breaks no rule, or the one that it names."""
    before = merge(minimal(step.kind), step.before | {"status": step.status})
    broken = broken_transitions(read(before), read(merge(before, step.after)))
    assert [step.message] == [text[: len(step.message)] for text in broken] or (
        not step.message and not broken
    )


def find_messages(schema: Any) -> set[str]:
    """The messages of all rules in a schema."""
    if isinstance(schema, list):
        return {message for part in schema for message in find_messages(part)}
    if not isinstance(schema, dict):
        return set()
    own = {rule["message"] for rule in schema.get("x-kubernetes-validations", [])}
    return own | find_messages(list(schema.values()))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_rule_has_a_case_that_breaks_it(kind: type[Resource]) -> None:
    """No rule goes untested, but for those that only the API server can break."""
    told = {case.message for case in CASES} | {step.message for step in STEPS}
    untested = {
        message
        for message in find_messages(build_schema(kind))
        if "file is for the local runner" not in message
        and not any(part and part in message for part in told)
    }
    assert set() == untested


def test_a_bare_mapping_is_not_enough_for_a_status() -> None:
    """An object that no operator has seen speaks of no generation."""
    assert read(minimal("Agent")).status.observed_generation == -1
