"""What the commands choose and say, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from anabranch.api import Measurement, ProbingPolicy, Survey
from anabranch.cluster.client import RefusedError
from anabranch.plugin import main
from anabranch.plugin.changes import choose_changes, follow_run
from anabranch.plugin.logs import cut, is_about_another, list_agents, list_jobs
from anabranch.plugin.optout import find_disobedient, find_missing, read_prefixes
from anabranch.plugin.outcome import find_store
from anabranch.plugin.session import PluginError, explain_refusal, suggest
from observations import NOW, read_kind
from toldrounds import make_told

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = [{"name": "a", "targetList": "l"}]


def make_measurement(**more: Any) -> Measurement:
    """A Measurement that has run once."""
    status = {"runId": "1", **more.pop("status", {})}
    spec = {"ping": {}, "agents": AGENTS, **more}
    found: Measurement = read_kind(Measurement, "demo", spec, status=status)
    return found


def test_a_name_that_is_not_there_brings_those_that_are_like_it() -> None:
    """Or else some that there are."""
    assert suggest("dmeo", ["demo", "other"]) == "did you mean demo?"
    assert suggest("x", ["demo"]) == "there are: demo"
    assert suggest("x", []) == "there is none at all"
    assert suggest("!", map(str, range(20))).endswith(", …")


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (401, "Unauthorized", "log in again"),
        (403, "rounds is forbidden", "ask an admin"),
        (404, "the server could not find the requested resource", "install the chart"),
        (409, "the object has been modified", "try again"),
        (422, "runId names a run that has been", "runId names a run that has been"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, message: str, remedy: str) -> None:
    """As far as the answer tells."""
    assert remedy in explain_refusal(RefusedError(status, message))


def test_suspending_twice_changes_nothing() -> None:
    """Nor does resuming what goes on."""
    assert choose_changes("suspend", make_measurement()) == {"suspend": True}
    assert choose_changes("suspend", make_measurement(suspend=True)) == {}
    assert choose_changes("resume", make_measurement(suspend=True)) == {
        "suspend": False
    }
    assert choose_changes("resume", make_measurement()) == {}


def test_a_rerun_takes_the_next_run_id() -> None:
    """By the rules for a runId: it has at most 32 characters."""
    assert choose_changes("rerun", make_measurement()) == {"runId": "2"}
    assert follow_run("week-09") == "week-10"
    assert follow_run("99") == "100"
    assert follow_run("first") == "first-2"
    assert len(follow_run("a" * 31 + "9")) == 32
    assert len(follow_run("a" * 32)) == 32
    chosen = choose_changes("rerun", make_measurement(), "spring")
    assert chosen == {"runId": "spring"}
    with pytest.raises(PluginError, match="used before"):
        choose_changes("rerun", make_measurement(), "1")


def test_a_survey_is_not_rerun_but_its_cycles_are() -> None:
    """The refusal names the newest one."""
    template = {"spec": {"ping": {}, "agents": AGENTS}}
    spec = {"continuous": True, "measurementTemplate": template}
    survey = read_kind(Survey, "daily", spec, status={"cycle": 3})
    with pytest.raises(PluginError, match="daily-000003"):
        choose_changes("rerun", survey)
    assert choose_changes("suspend", survey) == {"suspend": True}


def test_opt_outs_are_read_as_the_policy_writes_them() -> None:
    """What is no prefix is refused with an example."""
    texts = ["192.0.2.1", "2001:DB8::/48", "192.0.2.1/32"]
    assert read_prefixes(texts) == ["192.0.2.1", "2001:DB8::/48", "192.0.2.1/32"]
    with pytest.raises(PluginError, match=r"such as 192\.0\.2\.0/24"):
        read_prefixes(["nowhere"])


def test_what_is_excluded_already_is_not_added() -> None:
    """Nor is a part of it; another family is no part."""
    spec = {"contact": "a@example.org", "exclusions": ["192.0.2.0/24", "::/0"]}
    policy = read_kind(ProbingPolicy, "default", spec)
    wanted = ["192.0.2.7", "192.0.0.0/16", "2001:db8::/48"]
    assert find_missing(policy, wanted) == ["192.0.0.0/16"]


def test_rounds_obey_once_they_say_so() -> None:
    """Those that are over or not begun have nothing to obey."""
    rounds = [
        make_told("obeys", policyGeneration=3),
        make_told("late", policyGeneration=2),
        make_told("old"),
        make_told("over", reason="Complete"),
        make_told("new", reason=""),
    ]
    late = [told.round.spec.agent for told in find_disobedient(rounds, 3)]
    assert late == ["late", "old"]
    assert len(find_disobedient(rounds, 3, {"late"})) == 1


def test_the_store_is_the_one_that_the_results_are_in() -> None:
    """Before there are any, the user names it."""
    results = [{"name": "links", "uri": "s3://bucket/surveys/uid/1/links.parquet"}]
    status = {"results": results}
    assert find_store(make_measurement(status=status)) == "s3://bucket"
    with pytest.raises(PluginError, match="--data s3://BUCKET"):
        find_store(make_measurement())


def test_the_logs_of_a_round_are_of_its_agents_and_jobs() -> None:
    """Of Jobs of other rounds nothing is shown; those of the whole run are."""
    rounds = [make_told(number=1), make_told(number=2), make_told("tokyo", 2)]
    found = list_agents(rounds, 2, None)
    assert [each.pod for each in found] == [
        "anabranch-agent-paris",
        "anabranch-agent-tokyo",
    ]
    assert len(list_agents(rounds, 2, "tokyo")) == 1
    names = {
        "demo-abc1234-begin": "paris",
        "demo-abc1234-001-00": "paris",
        "demo-abc1234-002-00": "paris",
        "demo-abc1234-results": None,
    }
    jobs, pods = [], []
    for number, (name, agent) in enumerate(names.items()):
        labels = {"anabranch.dev/agent": agent} if agent else {}
        metadata = {"name": name, "labels": labels, "creationTimestamp": str(number)}
        jobs.append({"metadata": metadata})
        of_job = {"batch.kubernetes.io/job-name": name}
        pods.append({"metadata": {"name": f"{name}-x", "labels": of_job}})
    shown = [each.pod for each in list_jobs(jobs, pods, 2, None)]
    assert shown == [
        "demo-abc1234-begin-x",
        "demo-abc1234-002-00-x",
        "demo-abc1234-results-x",
    ]
    assert len(list_jobs(jobs, pods, 2, "tokyo")) == 1
    assert not is_about_another("demo-abc1234-002-00-3", 2)


def test_a_log_ends_when_its_round_did() -> None:
    """Kubernetes' own times are left out."""
    text = (
        "2026-11-24T11:59:00.123456789Z first\n"
        "2026-11-24T12:00:00Z second\n2026-11-24T12:01:00Z third\n"
    )
    assert cut(text, NOW) == "first\nsecond\n"
    assert cut(text, None) == "first\nsecond\nthird\n"
    assert cut(text, datetime.min.replace(tzinfo=UTC) + timedelta(days=1)) == ""


def test_without_a_cluster_it_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kubeconfig that is not there, and a server that does not answer."""
    assert main(["status", "--kubeconfig", str(tmp_path / "none")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("kubectl anabranch: no cluster: ")
    assert "--kubeconfig" in told
    (tmp_path / "config").write_text(
        "{apiVersion: v1, kind: Config, current-context: c, "
        "users: [{name: u, user: {token: t}}], "
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], "
        "contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    assert main(["status", "demo", "--kubeconfig", str(tmp_path / "config")]) == 1
    assert "can't be reached" in capsys.readouterr().err
    words = ["--kubeconfig", str(tmp_path / "config"), "--context", "other"]
    assert main(["top", *words]) == 1
    assert "other" in capsys.readouterr().err
