"""The CRDs in a real API server: the models' table, and what only it can do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from anabranch.api import KINDS, Resource
from cases import CASES, STEPS, Case, Step, merge, minimal
from examples import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.namespace import Namespace


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.says}")
def test_the_api_server_accepts_and_refuses_what_the_table_says(
    namespace: Namespace, case: Case
) -> None:
    """Each case is accepted, or refused at its field and in its words."""
    answer = namespace.create(case.manifest)
    if not case.refused and not case.message:
        assert answer.status == 201, answer.body
        return
    assert answer.status == 422
    field, message = answer.causes[0]
    assert field.startswith(case.refused)
    assert case.message in message


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.kind}: {step.says}")
def test_the_api_server_allows_the_changes_that_the_table_says(
    namespace: Namespace, step: Step
) -> None:
    """Each step is accepted, or refused by the rule that it names."""
    created = namespace.create(merge(minimal(step.kind), step.before))
    assert created.status == 201, created.body
    current = created.body
    if step.status:
        written = namespace.replace(current | {"status": step.status}, "/status")
        assert written.status == 200, written.body
        current = written.body
    part = "/status" if step.of_status else ""
    answer = namespace.replace(merge(current, step.after), part)
    if not step.message:
        assert answer.status == 200, answer.body
    else:
        assert answer.status == 422
        assert any(
            message.startswith(step.message) for _, message in answer.causes
        ) or (step.message in answer.body["message"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_defaults_are_the_same_on_both_sides(
    namespace: Namespace, kind: type[Resource]
) -> None:
    """An object reads the same before and after the API server filled it in."""
    manifest = minimal(kind.__name__)
    stored = namespace.create(manifest).body
    read = kind.model_validate_json(json.dumps(stored))
    sent = kind.model_validate_json(json.dumps(manifest))
    assert sent.spec == read.spec
    assert sent.status == read.status
    assert stored["status"] == {"observedGeneration": -1}


def test_a_new_object_is_not_current_for_kstatus(namespace: Namespace) -> None:
    """Its status speaks of another generation than its spec."""
    stored = namespace.create(minimal("Measurement")).body
    assert stored["metadata"]["generation"] != stored["status"]["observedGeneration"]


def test_a_client_can_not_write_status_with_the_spec(namespace: Namespace) -> None:
    """The status is a subresource: it needs a right of its own."""
    manifest = minimal("Measurement") | {"status": {"round": 7}}
    assert "round" not in namespace.create(manifest).body["status"]


def test_a_list_from_a_file_is_for_the_local_runner_alone(namespace: Namespace) -> None:
    """The refusal says what to do instead."""
    manifest = minimal("TargetList") | {"spec": {"file": "routed.csv"}}
    answer = namespace.create(manifest)
    assert answer.status == 422
    assert "put the list into a ConfigMap or the object store" in answer.body["message"]


def test_unknown_fields_are_refused(namespace: Namespace) -> None:
    """A typing error does not vanish."""
    manifest = merge(minimal("Agent"), {"spec": {"maxProbingRte": 5}})
    answer = namespace.create(manifest)
    assert answer.status == 400
    assert "maxProbingRte" in answer.body["message"]


COLUMNS = {
    "Measurement": (
        "Name Ready Round Agents Reason Age Suspended Targets LeftOut Probes Links"
    ),
    "Survey": (
        "Name Ready Schedule Cycle Active Last Reason Age Next ExpectedEnd TimeZone "
        "Suspended"
    ),
    "Agent": "Name Ready Node Rate Rounds Reason Age Version",
    "TargetList": "Name Ready Prefixes Reason Age Digest",
    "ProbingPolicy": "Name Ready Stop Age Contact",
    "Round": (
        "Name Agent Round Ready Complete Sent Planned Traced Destinations Replies Age "
        "Reason Node Waiting Dropped"
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_kubectl_get_shows_the_columns_that_tell_the_story(
    namespace: Namespace, kind: str
) -> None:
    """A table holds the conditions, the progress, and the rest with -o wide."""
    created = namespace.create(minimal(kind)).body
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "Waiting",
        "message": "for a test",
        "lastTransitionTime": "2026-11-01T00:00:00Z",
    }
    status = {"observedGeneration": 1, "conditions": [ready]}
    namespace.replace(created | {"status": status}, "/status")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = namespace.call("GET", namespace.path(kind), accept=accept).body
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == COLUMNS[kind].split()
    cells = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert cells["Ready"] == "False"
    assert cells.get("Reason") in {"Waiting", None}


def test_kinds_have_short_names_and_a_category(namespace: Namespace) -> None:
    """`kubectl get msm,svy,agt,tl,pp,rnd` and `kubectl get anabranch` work."""
    resources = namespace.call("GET", "/apis/anabranch.dev/v1alpha1").body["resources"]
    found = {r["kind"]: r for r in resources if "/" not in r["name"]}
    short = {kind: entry["shortNames"] for kind, entry in found.items()}
    assert short == {
        "Measurement": ["msm"],
        "Survey": ["svy"],
        "Agent": ["agt"],
        "TargetList": ["tl"],
        "ProbingPolicy": ["pp"],
        "Round": ["rnd"],
    }
    assert all(entry["categories"] == ["anabranch"] for entry in found.values())


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_the_api_server_accepts_the_examples(namespace: Namespace, file: Path) -> None:
    """Each document of each example is accepted as it stands."""
    for manifest in yaml.safe_load_all(file.read_text()):
        manifest["metadata"].pop("namespace", None)
        answer = namespace.create(manifest)
        assert answer.status == 201, answer.body
