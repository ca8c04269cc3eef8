from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from anabranch.manifests.jobs import build_job, share_work
from anabranch.manifests.labels import COMPONENT, Component, label
from anabranch.manifests.settings import Settings

URL = "http://clickhouse.databases:8123"


def read_settings(**clickhouse: str) -> Settings:
    """Settings with a ClickHouse."""
    return Settings.read(
        {
            "namespace": "system",
            "store": {"bucket": "surveys", "secret": "s3"},
            "clickhouse": clickhouse,
            "jobs": {"image": "operator"},
            "agents": {"image": "agent"},
        }
    )


def read_environment(settings: Settings) -> dict[str, Any]:
    """What the container of a Job is told of ClickHouse."""
    pod = build_job(settings, "job", {}, [])["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return {
        each["name"].removeprefix("ANABRANCH_CLICKHOUSE_"): each.get("value")
        or each["valueFrom"]["secretKeyRef"]
        for each in container["env"]
        if each["name"].startswith("ANABRANCH_CLICKHOUSE_")
    }


def test_a_job_is_told_of_no_server_by_default() -> None:
    """It runs its SQL itself."""
    assert read_environment(read_settings()) == {}


def test_a_job_is_told_where_clickhouse_is_and_who_it_is_there() -> None:
    """The password comes from the Secret, and is in no manifest."""
    named = {"url": URL, "secret": "clickhouse", "cluster": "main"}
    settings = read_settings(**named)
    assert read_environment(settings) == {
        "URL": URL,
        "DATABASE": "anabranch",
        "CLUSTER": "main",
        "USER": {"name": "clickhouse", "key": "username"},
        "PASSWORD": {"name": "clickhouse", "key": "password"},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "clickhouse:8123"),
        ("url", "http://"),
        ("url", "tcp://clickhouse:9000"),
        ("url", "http://me:secret@clickhouse:8123"),
        ("url", "http://clickhouse:8123/?password=secret"),
        ("database", ""),
        ("database", "a`b"),
        ("cluster", "a b"),
    ],
)
def test_what_can_be_no_server_is_refused(field: str, value: str) -> None:
    """By its place; and what may be a password is not shown."""
    with pytest.raises(ValidationError) as told:
        read_settings(**{"url": URL, field: value})
    (error,) = told.value.errors()
    assert error["loc"] == ("clickhouse", field)
    assert "secret" not in error["msg"]


def test_a_job_runs_on_the_nodes_that_it_may_run_on() -> None:
    """And says nothing of nodes if the settings don't."""
    place = {"nodeSelector": {"pool": "jobs"}, "tolerations": [{"operator": "Exists"}]}
    jobs = {"image": "operator", **place}
    settings = {
        "namespace": "system",
        "store": {"bucket": "surveys"},
        "agents": {"image": "agent"},
    }
    chosen = Settings.read(settings | {"jobs": jobs})
    pod = build_job(chosen, "job", {}, [])["spec"]["template"]["spec"]
    assert {name: pod[name] for name in place} == place
    free = build_job(read_settings(), "job", {}, [])["spec"]["template"]["spec"]
    assert not place.keys() & free.keys()


def test_the_pods_of_jobs_are_labelled_and_annotated_as_the_settings_say() -> None:
    """Jobs are not: they are found, as their pods are, by labels of their own."""
    notes = {"linkerd.io/inject": "disabled"}
    jobs = {
        "image": "operator",
        "podLabels": {"team": "network", COMPONENT: "agent"},
        "podAnnotations": notes,
    }
    settings = {
        "namespace": "system",
        "store": {"bucket": "surveys"},
        "agents": {"image": "agent"},
        "jobs": jobs,
    }
    own = label(Component.STEP_JOB)
    job = build_job(Settings.read(settings), "job", own, [])
    assert job["metadata"]["labels"] == own
    pod = job["spec"]["template"]["metadata"]
    assert pod == {"labels": own | {"team": "network"}, "annotations": notes}


def test_pods_that_share_the_work_know_their_place() -> None:
    """Kubernetes numbers them, and the Job is complete with all of them."""
    job = build_job(read_settings(), "job", {}, ["conclude"])
    share_work(job, 3)
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 3)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"] == ["job", "conclude", "--workers", "3"]


def test_who_makes_jobs_loads_no_engine() -> None:
    """The operator's memory is for what it watches."""
    loads = (
        "import sys, anabranch.control.operator; "
        "print({'chdb', 'pych_client', 'pyarrow'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", loads], capture_output=True, check=True, text=True
    )
    assert done.stdout == "set()\n"
