"""`kubectl anabranch` against a real API server, and a real agent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agents import write_kubeconfig
from anabranch.plugin import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents import Site
    from devcluster.apiserver import ApiServer
    from devcluster.namespace import Namespace

HEAD = {"apiVersion": "anabranch.dev/v1alpha1"}
SPEC = {"ping": {}, "agents": [{"name": "paris", "targetList": "list"}]}
NOW = "2026-11-24T12:00:00Z"


@pytest.fixture
def call(
    tmp_path: Path,
    apiserver: ApiServer,
    namespace: Namespace,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Calls the plugin in a namespace: its exit code, output and errors."""
    kubeconfig = tmp_path / "kubeconfig-of-user"
    kubeconfig.write_text(yaml.safe_dump(write_kubeconfig(apiserver)))
    more = ["--kubeconfig", str(kubeconfig), "-n", namespace.name]

    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, *more, "--system-namespace", namespace.name])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def make(namespace: Namespace, kind: str, name: str, spec: dict[str, Any]) -> Any:
    """An object that the API server takes."""
    made = namespace.create(
        HEAD | {"kind": kind, "metadata": {"name": name}, "spec": spec}
    )
    assert made.status == 201, made.body
    return made.body


def say(namespace: Namespace, body: dict[str, Any], **status: Any) -> None:
    """Writes a status, as the operator or an agent does."""
    said = namespace.replace({**body, "status": status}, "/status")
    assert said.status == 200, said.body


def hold(kind: str, reason: str, message: str, status: str = "True") -> dict[str, Any]:
    """A condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }


def test_a_stuck_measurement_is_explained(
    namespace: Namespace, call: Callable[..., tuple[int, str, str]]
) -> None:
    """With its agents, in text and as values; the overview has it, too."""
    body = make(namespace, "Measurement", "demo", SPEC)
    waiting = hold("Ready", "AgentsUnavailable", "no agent is ready", "False")
    say(
        namespace,
        body,
        observedGeneration=1,
        runId="1",
        startTime=NOW,
        conditions=[waiting],
    )
    measured = make(
        namespace,
        "Round",
        "demo-1",
        {
            "measurement": {"name": "demo", "uid": body["metadata"]["uid"]},
            "runId": "1",
            "agent": "paris",
            "nodeName": "n1",
            "round": 1,
            "plan": {
                "key": "k",
                "digest": f"sha256:{'0' * 64}",
                "blocks": 1,
                "probes": 200,
            },
            "rate": 100,
        },
    )
    # The label by which Rounds are found; the helper makes none.
    label = {"anabranch.dev/measurement-uid": body["metadata"]["uid"]}
    measured["metadata"]["labels"] = label
    measured = namespace.replace(measured).body
    say(
        namespace,
        measured,
        observedGeneration=1,
        startTime=NOW,
        probesSent=50,
        repliesReceived=40,
        conditions=[hold("Ready", "LeaseLost", "not renewed", "False")],
    )
    code, out, _ = call("status", "demo")
    assert code == 0
    assert "AgentsUnavailable: no agent is ready" in out
    assert "! paris: LeaseLost: not renewed" in out
    code, out, _ = call("status", "msm/demo", "-o", "json")
    values = json.loads(out)
    assert (code, values["state"]) == (0, "waiting")
    assert values["agents"][0]["probesSent"] == 50
    code, out, _ = call("status")
    assert code == 0
    assert "! policy: NoPolicy" in out
    assert "no agent is ready" in out
    code, out, _ = call("status", "-o", "name")
    assert out == "measurement/demo\n"
    code, out, _ = call("top", "demo")
    assert code == 0
    assert "0 of 1 agents send" in out
    assert "25.0 %" in out


def test_a_spec_is_changed_by_the_rules(
    namespace: Namespace, call: Callable[..., tuple[int, str, str]]
) -> None:
    """Suspended, resumed and run again; what the API server refuses is told."""
    body = make(namespace, "Measurement", "demo", SPEC)
    name = "measurement.anabranch.dev/demo"
    assert call("suspend", "demo")[1] == f"{name} suspended\n"
    assert call("suspend", "demo")[1] == f"{name} unchanged\n"
    code, out, _ = call("resume", "demo", "-o", "yaml")
    assert (code, yaml.safe_load(out)["spec"]["suspend"]) == (0, False)
    body = namespace.call("GET", namespace.path("Measurement", "demo")).body
    say(namespace, body, observedGeneration=3, runId="1", startTime=NOW)
    assert call("rerun", "demo")[1] == f"{name} runs again, as run 2\n"
    code, _, err = call("rerun", "demo", "--run-id", "No!")
    assert code == 1
    assert "runId" in err
    code, _, err = call("suspend", "dmeo")
    assert code == 1
    assert "did you mean demo?" in err
    found = namespace.call("GET", namespace.path("Measurement", "demo")).body
    managers = {each["manager"] for each in found["metadata"]["managedFields"]}
    assert "kubectl-anabranch" in managers


def test_a_survey_pauses_and_resumes(
    namespace: Namespace, call: Callable[..., tuple[int, str, str]]
) -> None:
    """By its name, if no Measurement has it."""
    make(
        namespace,
        "Survey",
        "daily",
        {"schedule": "@daily", "measurementTemplate": {"spec": SPEC}},
    )
    assert call("suspend", "daily")[1] == "survey.anabranch.dev/daily suspended\n"
    assert "unseen" in call("status", "daily")[1]
    code, _, err = call("rerun", "survey/daily")
    assert code == 1
    assert "rerun one of its Measurements" in err
    assert "there is no Survey 'weekly'" in call("resume", "svy/weekly")[2]


def test_an_opt_out_waits_until_agents_obey(
    site: Site, namespace: Namespace, call: Callable[..., tuple[int, str, str]]
) -> None:
    """What somebody else applies to the policy later leaves it there."""
    probed = site.create_round(["240.0.0.0/18,udp,1,20,2"], rate=100)
    with site.run_agent():
        site.wait_sent(probed.name, 20)
        code, out, err = call("optout", "240.0.1.0/24", "240.0.2.2")
        assert code == 0, err
        assert "240.0.1.0/24 excluded" in out
        assert "all Rounds obey" in out
        told = site.status(probed.name)["policyGeneration"]
        policy = site.get("ProbingPolicy", "default")
        assert told == policy["metadata"]["generation"]
    assert policy["spec"]["exclusions"] == ["240.0.1.0/24", "240.0.2.2"]
    assert "was excluded already" in call("optout", "240.0.1.7", "--timeout", "0")[1]
    path = namespace.path("ProbingPolicy", "default")
    spec = {"contact": "b@example.org", "exclusions": ["240.9.0.0/16"]}
    body = HEAD | {"kind": "ProbingPolicy", "metadata": {"name": "default"}}
    applied = namespace.call(
        "PATCH",
        f"{path}?fieldManager=other&force=true",
        body | {"spec": spec},
        content="application/apply-patch+yaml",
    )
    assert applied.status == 200, applied.body
    assert set(applied.body["spec"]["exclusions"]) == {
        "240.9.0.0/16",
        "240.0.1.0/24",
        "240.0.2.2",
    }


def test_agents_that_do_not_obey_are_named(
    site: Site, call: Callable[..., tuple[int, str, str]]
) -> None:
    """The opt-out stands in the policy all the same."""
    probed = site.create_round(["240.0.0.0/24,udp,1,20,2"])
    body = site.get("Round", probed.name)
    ready = hold("Ready", "Probing", "it goes on")
    say(site.namespace, body, observedGeneration=1, conditions=[ready])
    code, _, err = call("optout", "240.0.1.0/24", "--timeout", "0.5")
    assert code == 1
    assert f"have not said that they obey: {site.agent}" in err
    assert site.get("ProbingPolicy", "default")["spec"]["exclusions"]
