from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from anabranch.cli import build_parser
from anabranch.manifests.jobs import build_job
from anabranch.manifests.settings import Settings
from anabranch.manifests.trust import describe_trust
from devcluster.project import name_gateway_image
from helm import CONTACT, NAMESPACE, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = frozenset(
    f"anabranch-{part}" for part in ("operator", "policy", "farewell", "aftercare")
)
"""What has pods of the operator's image."""
PURGING: Mapping[str, Any] = {"retention": {"olderThan": "90d", "keepSize": "1.5Ti"}}
CLICKHOUSE: Mapping[str, Any] = {
    "clickhouse": {
        "url": "http://clickhouse:8123",
        "existingSecret": "clickhouse",
        "cluster": "main",
    }
}
AWS: Mapping[str, Any] = {"store": {"embedded": {"enabled": False}}}


def find_templates(*values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The templates of all pods, with what makes them."""
    for each in render(CONTACT, *values).list("Deployment", "Job"):
        yield each["metadata"]["name"], each["spec"]["template"]
    for each in render(CONTACT, *values).list("CronJob"):
        job = each["spec"]["jobTemplate"]["spec"]
        yield each["metadata"]["name"], job["template"]


def find_pods(*values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specs of all pods, with what makes them."""
    for name, template in find_templates(*values):
        yield name, template["spec"]


def test_a_changed_setting_starts_the_operator_again() -> None:
    """It reads them once, so its pod is made anew."""
    sums = []
    for values in ({}, {}, {"watchNamespaces": ["research"]}):
        template = dict(find_templates(values))["anabranch-operator"]
        sums.append(template["metadata"]["annotations"]["checksum/settings"])
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize("user", [0, 65532])
def test_pods_may_do_nothing(user: int) -> None:
    """All are nonroot, but a store whose volume belongs to root; none can write."""
    values = {"store": {"embedded": {"runAsUser": user}}}
    for name, pod in find_pods(PURGING, values):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is (user != 0 or name != "anabranch-store")
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_gateway_is_the_one_that_tests_use() -> None:
    """The version in the values is that of the Go module."""
    store = dict(find_pods())["anabranch-store"]
    assert store["containers"][0]["image"] == name_gateway_image()


def test_a_digest_is_what_is_run() -> None:
    """The tag stays, for those who read."""
    digest = f"sha256:{'a' * 64}"
    image = {"image": {"digest": digest, "tag": "1.2.3"}}
    rendered = render(CONTACT, {"operator": image, "agents": image})
    settings = Settings.read(rendered.settings)
    assert settings.agents.image == f"docker.io/anabranch/agent:1.2.3@{digest}"
    assert settings.jobs.image == f"docker.io/anabranch/operator:1.2.3@{digest}"


def test_pods_run_where_the_values_say() -> None:
    """The operator's, those of the hooks, the store's and the Jobs'."""
    place: dict[str, Any] = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    }
    urgent = place | {"priorityClassName": "system-cluster-critical"}
    values = {"operator": urgent, "store": {"embedded": urgent}, "jobs": place}
    for name, pod in find_pods(PURGING, values):
        chosen = place if name == "anabranch-retention" else urgent
        assert {name: pod[name] for name in chosen} == chosen
    jobs = Settings.read(render(CONTACT, values).settings).jobs
    assert jobs.node_selector == place["nodeSelector"]
    assert list(jobs.tolerations) == place["tolerations"]


def test_agents_can_have_a_priority_class_of_their_own() -> None:
    """It is of the release's namespace by its name, since the kind is of none."""
    values = {"agents": {"priorityClass": {"create": True, "value": 1000}}}
    rendered = render(CONTACT, values)
    (made,) = rendered.list("PriorityClass")
    assert made["value"] == 1000
    named = Settings.read(rendered.settings).agents.priority_class_name
    assert named == made["metadata"]["name"] == f"{NAMESPACE}-agents"


def test_pods_are_labelled_and_annotated_as_the_values_say() -> None:
    """The operator's, the hooks', the store's; Jobs' and agents' by settings."""

    def mark(of: str) -> dict[str, Any]:
        return {"podLabels": {"team": of}, "podAnnotations": {"example.org/of": of}}

    values: dict[str, Any] = {of: mark(of) for of in ("operator", "jobs", "agents")}
    values["store"] = {"embedded": mark("store")}
    templates = dict(find_templates(values))
    assert templates.keys() == OURS | {"anabranch-store"}
    for name, template in templates.items():
        metadata, of = template["metadata"], "operator" if name in OURS else "store"
        assert metadata["labels"]["team"] == metadata["annotations"]["example.org/of"]
        assert metadata["labels"]["team"] == of
    settings = Settings.read(render(CONTACT, values).settings)
    for of, chosen in (("jobs", settings.jobs), ("agents", settings.agents)):
        assert chosen.pod_labels["team"] == of
        assert chosen.pod_annotations == {"example.org/of": of}


def test_what_empties_nodes_passes_agents_over() -> None:
    """They come back to a drained node, which nobody could wait for to be empty."""
    settings = Settings.read(render(CONTACT).settings)
    assert settings.agents.pod_labels == {"cluster.x-k8s.io/drain": "skip"}


def test_labels_and_annotations_come_beside_the_charts_own() -> None:
    """Whatever is added, Deployments find their pods, and settings start a new one."""
    added = {
        "podLabels": {"team": "network"},
        "podAnnotations": {"checksum/settings": "mine"},
    }
    values = {"operator": added, "store": {"embedded": added}}
    for deployment in render(CONTACT, values).list("Deployment"):
        metadata = deployment["spec"]["template"]["metadata"]
        found_by = deployment["spec"]["selector"]["matchLabels"]
        assert found_by.items() <= metadata["labels"].items()
        if deployment["metadata"]["name"] == "anabranch-operator":
            assert metadata["annotations"]["checksum/settings"] != "mine"
    store = dict(find_templates())["anabranch-store"]
    assert "annotations" not in store["metadata"]


def test_the_operator_trusts_whom_its_jobs_and_agents_trust() -> None:
    """Its pod has the bundle as theirs have it, and none by default."""
    values = {"caBundle": {"configMap": "company", "key": "bundle.pem"}}
    bundle = Settings.read(render(CONTACT, values).settings).ca_bundle
    assert (bundle.config_map, bundle.key) == ("company", "bundle.pem")
    trust = describe_trust(bundle)
    pod = dict(find_pods(values))["anabranch-operator"]
    (container,) = pod["containers"]
    assert container["env"] == [*trust.env]
    assert container["volumeMounts"][-1:] == [*trust.mounts]
    assert pod["volumes"][-1:] == [*trust.volumes]
    (container,) = dict(find_pods())["anabranch-operator"]["containers"]
    assert "env" not in container


def test_nothing_leaves_the_store_by_default() -> None:
    """A schedule alone removes nothing either."""
    for values in ({}, {"retention": {"schedule": "@daily"}}):
        assert render(CONTACT, values).list("CronJob") == []


@pytest.mark.parametrize(
    "values",
    [{}, AWS, CLICKHOUSE, {"caBundle": {"configMap": "company", "key": "own.pem"}}],
    ids=str,
)
def test_old_runs_leave_the_store_by_a_job_as_the_operator_makes_them(
    values: Mapping[str, Any],
) -> None:
    """It reaches the same store and tables, trusts the same, and may do no more."""
    told = {"podLabels": {"team": "a"}, "podAnnotations": {"example.org/team": "a"}}
    rendered = render(CONTACT, PURGING, {"jobs": told}, values)
    cron = rendered.find("CronJob", "anabranch-retention")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["schedule"] == "17 3 * * *"
    ours = cron["jobTemplate"]["spec"]
    theirs = build_job(Settings.read(rendered.settings), "job", {}, ["begin"])["spec"]
    assert ours["activeDeadlineSeconds"] == theirs["activeDeadlineSeconds"]
    ours, theirs = ours["template"], theirs["template"]
    assert ours["metadata"]["annotations"] == theirs["metadata"]["annotations"]
    assert theirs["metadata"]["labels"].items() <= ours["metadata"]["labels"].items()
    ours, theirs = ours["spec"], theirs["spec"]
    (own,), (other,) = ours.pop("containers"), theirs.pop("containers")
    # It writes no files.
    assert other["volumeMounts"].pop(0)["name"] == theirs["volumes"].pop(0)["name"]
    del theirs["securityContext"]["fsGroup"]
    assert ours.pop("volumes", []) == theirs.pop("volumes")
    assert own.pop("volumeMounts", []) == other.pop("volumeMounts")
    assert own.pop("envFrom", []) == other.pop("envFrom")
    assert own.pop("args") == [
        *("purge", "--data=s3://$(ANABRANCH_STORE_BUCKET)"),
        *("--older-than=90d", "--keep-size=1.5Ti", "--yes"),
    ]
    del other["args"]
    assert own == other
    assert ours == theirs


def test_what_the_chart_tells_the_command_is_what_it_takes() -> None:
    """Each limit alone, too."""
    for values in ({"olderThan": "52w"}, {"keepSize": "500Gi"}):
        pod = dict(find_pods({"retention": values}))["anabranch-retention"]
        chosen = build_parser(["purge"]).parse_args(pod["containers"][0]["args"])
        assert chosen.yes
        assert (chosen.older_than is None) is ("olderThan" not in values)
        assert (chosen.keep_size is None) is ("keepSize" not in values)
