from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from anabranch.api import KINDS, ProbingPolicy
from anabranch.api.schema import build_crd
from anabranch.cluster.objects import read_object
from anabranch.manifests.labels import COMPONENT, SELECTOR, Component, label
from anabranch.manifests.settings import Settings
from helm import CHART, CONTACT, NAMESPACE, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = CHART.parents[1]
HOOK = "helm.sh/hook"
DELETED = "helm.sh/hook-delete-policy"
ALL_ON: Mapping[str, Any] = {
    "agents": {"enrol": {"enabled": True, "labels": {"team": "demo"}}},
    "serviceAccounts": {"imagePullSecrets": [{"name": "registry"}]},
    "operator": {"replicas": 2},
}
NARROW: Mapping[str, Any] = {"watchNamespaces": ["research", "teaching"]}
OWN_STORE: Mapping[str, Any] = {
    "store": {
        "bucket": "surveys",
        "endpoint": "https://s3.example.org",
        "existingSecret": "s3",
        "embedded": {"enabled": False},
    }
}
AWS: Mapping[str, Any] = {"store": {"embedded": {"enabled": False}}}
VARIANTS = pytest.mark.parametrize(
    "values", [{}, ALL_ON, NARROW, OWN_STORE, AWS], ids=str
)


def find_bound_rules(*values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules of roles that the chart gives to somebody for good."""
    rendered = render(CONTACT, *values)
    bound = {
        each["roleRef"]["name"]
        for each in rendered.list("RoleBinding", "ClusterRoleBinding")
        if HOOK not in each["metadata"].get("annotations", {})
    }
    return [
        rule
        for role in rendered.list("Role", "ClusterRole")
        if role["metadata"]["name"] in bound
        for rule in role["rules"]
    ]


def test_the_definitions_are_those_of_the_models() -> None:
    """Helm installs exactly what the operator expects, and keeps it by default."""
    rendered = render(CONTACT).list("CustomResourceDefinition")
    for crd in rendered:
        assert crd["metadata"].pop("labels")["app.kubernetes.io/part-of"] == "anabranch"
        policy = {"helm.sh/resource-policy": "keep"}
        assert crd["metadata"].pop("annotations") == policy
    names = {crd["metadata"]["name"]: crd for crd in rendered}
    assert names == {f"{k.plural}.anabranch.dev": build_crd(k) for k in KINDS}


def test_the_copies_of_the_definitions_are_equal() -> None:
    """The chart stands alone, with the files that the project has at its top."""
    ours, theirs = (
        {file.name: file.read_bytes() for file in folder.glob("*.yaml")}
        for folder in (CHART / "files" / "crds", ROOT / "crds")
    )
    assert ours == theirs


def test_definitions_can_be_left_out_or_go_with_the_release() -> None:
    """Somebody else may bring them, and a test may want none left behind."""
    without = render(CONTACT, {"crds": {"install": False}})
    assert without.list("CustomResourceDefinition") == []
    going = render(CONTACT, {"crds": {"keep": False}})
    for crd in going.list("CustomResourceDefinition"):
        assert "annotations" not in crd["metadata"]


@VARIANTS
def test_the_operator_takes_its_settings(values: Mapping[str, Any]) -> None:
    """The file in the ConfigMap is what the operator reads, whatever is chosen."""
    settings = Settings.read(render(CONTACT, values).settings)
    assert settings.namespace == NAMESPACE
    assert list(settings.watch_namespaces) == list(values.get("watchNamespaces", []))


def test_settings_say_where_the_store_is() -> None:
    """The embedded store, another one with a Secret, or AWS with none."""
    embedded, own, aws = (
        Settings.read(render(CONTACT, values).settings).store
        for values in ({}, OWN_STORE, AWS)
    )
    assert embedded.endpoint == f"http://anabranch-store.{NAMESPACE}.svc:7070"
    assert (own.bucket, own.endpoint) == ("surveys", "https://s3.example.org")
    assert [each.secret for each in (embedded, own, aws)] == [
        "anabranch-store",
        "s3",
        "",
    ]
    assert aws.endpoint == ""


OWN_SECRETS: Mapping[str, Any] = {"store": {"agentSecret": "s3-{agent}"}}


def test_agents_of_the_embedded_store_have_users_of_their_own() -> None:
    """It keeps users, and the operator may make Secrets, unless they are there."""
    for values, is_gateway in (
        ({}, True),
        (OWN_SECRETS, False),
        (OWN_STORE, False),
        (AWS, False),
    ):
        rendered = render(CONTACT, values)
        store = Settings.read(rendered.settings).store
        assert store.is_gateway is is_gateway
        assert store.confines_agents is (is_gateway or values is OWN_SECRETS)
        may = [rule["resources"] for rule in find_bound_rules(values)]
        assert (["secrets"] in may) is is_gateway
    deployments = {
        each["metadata"]["name"]: each for each in render(CONTACT).list("Deployment")
    }
    pod = deployments["anabranch-store"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    arguments = container["args"]
    users = arguments[arguments.index("--iam-dir") + 1]
    assert users in [each["mountPath"] for each in container["volumeMounts"]]


def test_settings_say_where_clickhouse_is() -> None:
    """None by default; else with the name of the Secret, and nothing that is in it."""
    values = {
        "clickhouse": {"url": "http://clickhouse:8123", "existingSecret": "clickhouse"}
    }
    none, chosen = (
        Settings.read(render(CONTACT, given).settings).clickhouse
        for given in ({}, values)
    )
    assert none.url == ""
    assert (chosen.url, chosen.secret) == ("http://clickhouse:8123", "clickhouse")
    assert (chosen.database, chosen.cluster) == ("anabranch", "")


def test_large_rates_stay_whole_numbers() -> None:
    """Helm's numbers are floats; a rate of millions must not become 2e+06."""
    fast = {"maxProbingRate": 2_000_000}
    values = {"agents": {"enrol": {"enabled": True, "spec": fast}}}
    rendered = render(CONTACT, values, {"policy": {"maxRate": 50_000_000}})
    assert rendered.settings["agents"]["enrol"]["spec"] == fast
    assert rendered.policy["spec"]["maxRate"] == 50_000_000


@VARIANTS
def test_nobody_has_rights_that_are_not_needed(values: Mapping[str, Any]) -> None:
    """No role has a wildcard, reads Secrets, or lets anyone become someone else."""
    for role in render(CONTACT, values).list("Role", "ClusterRole"):
        for rule in role["rules"]:
            words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not words & {"*", "escalate", "bind", "impersonate"}
            assert "secrets" not in words or rule["verbs"] == ["create"]
            assert not any(word.startswith("pods/") for word in words)


def test_narrowed_rights_end_at_the_namespaces() -> None:
    """With watchNamespaces, no binding reaches beyond these and the own one."""
    rendered = render(CONTACT, NARROW)
    assert rendered.list("ClusterRoleBinding") == []
    places = {each["metadata"]["namespace"] for each in rendered.list("RoleBinding")}
    assert places == {NAMESPACE, "research", "teaching"}


def test_nodes_are_seen_only_to_enrol_them() -> None:
    """Without enrolment, nobody lists nodes or makes Agents."""
    for values, expected in (({}, False), (ALL_ON, True)):
        rules = find_bound_rules(values)
        assert any("nodes" in rule["resources"] for rule in rules) is expected
        assert expected is any(
            "agents" in rule["resources"] and "create" in rule["verbs"]
            for rule in rules
        )


def test_the_operator_does_not_take_the_charts_pods_for_its_own() -> None:
    """What it finds by its label is what it made."""
    name, _, value = SELECTOR.partition("=")
    for each in render(CONTACT, ALL_ON).objects:
        assert each["metadata"].get("labels", {}).get(name) != value


def test_another_store_leaves_the_embedded_one_out() -> None:
    """Neither a volume nor a Secret is made, and the operator reads the given one."""
    rendered = render(CONTACT, OWN_STORE)
    assert not rendered.list("Secret", "PersistentVolumeClaim", "Service")
    own = [{"secretRef": {"name": "s3"}}]
    for values, expected in ((OWN_STORE, own), (AWS, None)):
        (operator,) = render(CONTACT, values).list("Deployment")
        (container,) = operator["spec"]["template"]["spec"]["containers"]
        assert container.get("envFrom") == expected


def test_the_policy_allows_nothing_by_default() -> None:
    """It has a field that says so: a policy without the field would open everything."""
    policy = read_object(ProbingPolicy, _with_uid(render(CONTACT).policy))
    assert policy.spec.allow == ()
    assert not policy.spec.allow_reserved


def test_the_policy_is_what_the_values_say() -> None:
    """All its fields but stop, which is for those who have to stop something."""
    spec = {
        "contact": "noc@example.org",
        "allow": ["240.0.0.0/4", "3fff::/20"],
        "exclusions": ["240.9.0.0/16"],
        "allowReserved": True,
        "maxRate": 1000,
        "maxRatePerPrefix": 10,
        "limits": {"maxRounds": 20},
    }
    policy = render({"policy": spec}).policy
    assert policy["spec"] == spec
    fields = set(read_object(ProbingPolicy, _with_uid(policy)).spec.model_dump())
    assert len(fields) == len(spec) + 1
    assert "stop" in fields


def test_rights_to_write_the_policy_end_with_the_hook() -> None:
    """The role that may is one of those objects that Helm removes when it is done."""
    for rule in find_bound_rules():
        if "probingpolicies" in rule["resources"]:
            assert not {"create", "patch", "update"} & {*rule["verbs"]}
    role = render(CONTACT).find("Role", "anabranch-policy")
    assert "create" in role["rules"][0]["verbs"]
    assert "hook-succeeded" in role["metadata"]["annotations"][DELETED]


def test_a_policy_of_ones_own_is_left_alone() -> None:
    """Without policy.create no contact is asked for, and nothing writes it."""
    names = {
        each["metadata"]["name"]
        for each in render({"policy": {"create": False}}).objects
    }
    assert "anabranch-policy" not in names


def test_network_policies_let_jobs_ask_what_they_are_told_to_ask() -> None:
    """The ports of the store and of ClickHouse are those of their URLs."""
    values = {
        "networkPolicy": {"enabled": True},
        "clickhouse": {"url": "http://clickhouse.databases:8123"},
    }
    rendered = render(CONTACT, OWN_STORE, values)
    names = {each["metadata"]["name"] for each in rendered.list("NetworkPolicy")}
    assert names == {"anabranch-operator", "anabranch-jobs"}
    jobs = rendered.find("NetworkPolicy", "anabranch-jobs")["spec"]
    (rule,) = jobs["egress"]
    ports = {each["port"] for each in rule["ports"]}
    assert ports == {53, 443, 6443, 8123}
    assert "ingress" not in jobs


def test_network_policies_select_the_pods_that_there_are() -> None:
    """Jobs by the labels that the operator gives them, but no agent."""
    nodes = [{"ipBlock": {"cidr": "10.0.0.0/16"}}]
    values = {"networkPolicy": {"enabled": True, "storeClients": nodes}}
    rendered = render(CONTACT, values)
    jobs = rendered.find("NetworkPolicy", "anabranch-jobs")["spec"]["podSelector"]
    made = label(Component.STEP_JOB)
    assert jobs["matchLabels"].items() <= made.items()
    (expression,) = jobs["matchExpressions"]
    assert expression["key"] == COMPONENT
    assert expression["values"] == [Component.AGENT]
    store = rendered.find("NetworkPolicy", "anabranch-store")["spec"]
    (rule,) = store["ingress"]
    assert {"podSelector": jobs} in rule["from"]
    assert nodes[0] in rule["from"]
    for each in (rendered.find("NetworkPolicy", "anabranch-operator")["spec"], store):
        name = each["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        deployment = rendered.find("Deployment", f"anabranch-{name}")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert each["podSelector"]["matchLabels"].items() <= labels.items()


def test_network_policies_let_retention_ask_the_store() -> None:
    """By the labels of its own Job, and no more than other Jobs."""
    nodes = [{"ipBlock": {"cidr": "10.0.0.0/16"}}]
    closed = {"networkPolicy": {"enabled": True, "storeClients": nodes}}
    rendered = render(CONTACT, closed, {"retention": {"olderThan": "90d"}})
    own = rendered.find("NetworkPolicy", "anabranch-retention")["spec"]
    jobs = rendered.find("NetworkPolicy", "anabranch-jobs")["spec"]
    assert own["egress"] == jobs["egress"]
    cron = rendered.find("CronJob", "anabranch-retention")["spec"]
    labels = cron["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert own["podSelector"]["matchLabels"].items() <= labels.items()
    (rule,) = rendered.find("NetworkPolicy", "anabranch-store")["spec"]["ingress"]
    assert {"podSelector": own["podSelector"]} in rule["from"]


def test_what_ends_with_the_release_is_what_the_operator_makes() -> None:
    """The script of the hook goes by the operator's own labels."""
    script = (CHART / "files" / "end_pods.py").read_text()
    assert f'"{SELECTOR}"' in script
    assert f'"{COMPONENT}={Component.AGENT}"' in script
    operator = render(CONTACT).find("Deployment", "anabranch-operator")
    labels = operator["spec"]["template"]["metadata"]["labels"]
    (found,) = re.findall(r'OF_OPERATOR = "(.+)"', script)
    assert dict(word.split("=") for word in found.split(",")).items() <= labels.items()


def test_every_value_is_explained() -> None:
    """Each, or what it is in, has a row in the README's table that says what it is."""
    rows = re.findall(
        r"(?m)^\| `(\S+)` \| .+ \| (.*) \|$", (CHART / "README.md").read_text()
    )
    explained = {name for name, text in rows if text}
    for path in _list_paths(yaml.safe_load((CHART / "values.yaml").read_text())):
        parts = path.split(".")
        names = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        assert names & explained, path


def _with_uid(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest | {"metadata": manifest["metadata"] | {"uid": "0"}}


def _list_paths(values: Mapping[str, Any], root: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _list_paths(value, f"{root}{name}.")
        else:
            yield f"{root}{name}"
