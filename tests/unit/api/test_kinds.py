"""What the models accept and refuse; tests/apiserver says the same of the CRDs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from anabranch.api import KINDS
from anabranch.api.manifest import show_path
from anabranch.api.model import Model, broken_transitions, find_errors
from cases import CASES, STEPS, Case, Manifest, Step, merge, minimal

KIND = {kind.__name__: kind for kind in KINDS}


def read(manifest: Manifest) -> Any:
    return KIND[manifest["kind"]].model_validate_json(json.dumps(manifest))


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
    assert case.message in error["msg"] or error["type"] == "prefix"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}: {step.says}")
def test_a_model_allows_the_changes_that_the_table_says(step: Step) -> None:
    """Each step breaks no rule, or the one that it names."""
    before = merge(minimal(step.kind), step.before | {"status": step.status})
    broken = broken_transitions(read(before), read(merge(before, step.after)))
    assert [step.message] == [text[: len(step.message)] for text in broken] or (
        not step.message and not broken
    )


def find_messages(model: type[Model]) -> set[str]:
    """The messages of the rules of a model and of all models in it."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {
        rule["message"]
        for part in parts
        for rule in part.get("x-kubernetes-validations", [])
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_rule_has_a_case_that_breaks_it(kind: type[Model]) -> None:
    """No rule goes untested, but for those that only the API server can break."""
    told = {case.message for case in CASES} | {step.message for step in STEPS}
    only_in_clusters = {
        message for message in find_messages(kind) if "file is" in message
    }
    untested = {
        message
        for message in find_messages(kind) - only_in_clusters
        if not any(part and part in message for part in told)
    }
    assert set() == untested


def test_a_bare_mapping_is_not_enough_for_a_status() -> None:
    """An object that no operator has seen speaks of no generation."""
    assert read(minimal("Agent")).status.observed_generation == -1
