"""Reading manifests: every problem of all of them in one report."""

from __future__ import annotations

from textwrap import dedent

import pytest

from anabranch.api import Agent, Measurement
from anabranch.api.manifest import Manifests, Source, read_manifests
from anabranch.api.references import find_dangling, select_agents

AGENT = """\
apiVersion: anabranch.dev/v1alpha1
kind: Agent
metadata: {name: paris, labels: {continent: europe}}
spec: {nodeName: node-7}
"""
TARGET_LIST = """\
apiVersion: anabranch.dev/v1alpha1
kind: TargetList
metadata: {name: routed}
spec:
  entries: [{target: 240.0.0.0/8}]
"""
MEASUREMENT = """\
apiVersion: anabranch.dev/v1alpha1
kind: Measurement
metadata: {name: weekly}
spec:
  diamondMiner: {}
  agents:
    - name: paris
      targetList: routed
"""


HEADER = "apiVersion: anabranch.dev/v1alpha1\nkind: Agent\n"
POLICY = """\
apiVersion: anabranch.dev/v1alpha1
kind: ProbingPolicy
metadata: {name: default}
spec: {contact: https://example.org}
"""
# Nine lists, each of nine aliases of the one before.
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def read(*texts: str) -> Manifests:
    """Reads texts as the sources 0.yaml, 1.yaml and so on."""
    sources = (Source(f"{i}.yaml", text.encode()) for i, text in enumerate(texts))
    return read_manifests(sources)


def broken(*texts: str) -> list[str]:
    return [str(problem) for problem in read(*texts).broken]


def dangling(*texts: str) -> list[str]:
    manifests = read(*texts)
    assert manifests.broken == ()
    return [str(problem) for problem in find_dangling(manifests)]


def test_documents_of_several_sources_are_one_set() -> None:
    """It does not matter which file holds what, nor in which order."""
    manifests = read(f"---\n{MEASUREMENT}---\n{AGENT}---\n", TARGET_LIST)
    assert manifests.broken == ()
    assert [d.place.document for d in manifests.documents] == [1, 2, 1]
    assert len(manifests.of_kind(Agent)) == 1
    assert find_dangling(manifests) == []


def test_all_problems_of_all_sources_are_in_one_report() -> None:
    """Each with source, line, document, object, field and remedy."""
    assert broken(
        AGENT.replace("nodeName: node-7", "nodeNam: node-7, minTtl: 0"),
        f"{TARGET_LIST}---\n{MEASUREMENT.replace('diamondMiner', 'diamndMiner')}",
    ) == [
        "0.yaml:4: document 1, Agent paris: spec.nodeName: required; add it",
        "0.yaml:4: document 1, Agent paris: spec.minTtl: must be greater than or equal "
        "to 1, not 0",
        "0.yaml:4: document 1, Agent paris: spec.nodeNam: unknown field; did you mean "
        "nodeName?",
        "1.yaml:11: document 2, Measurement weekly: spec.diamndMiner: unknown field; "
        "did you mean diamondMiner?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    {
        "kind: Measurment": 'unknown kind "Measurment"; did you mean Measurement?',
        "kind: Deployment": 'unknown kind "Deployment"; known are Measurement, Survey',
        "name: x": "kind: unknown kind null; known are",
        "kind: [Agent]": 'kind: unknown kind ["Agent"]',
        AGENT.replace("v1alpha1", "v1"): "apiVersion: of kind Agent it must be",
        "- a\n- b": "a document must be a mapping with apiVersion and kind",
        "kind: [": "not YAML: did not find expected node content; mend it",
        "kind: !python/object:os.system x": "could not determine a constructor",
        "kind: !!int foo": "a value is not what it is tagged as",
        "kind: !!bool foo": "foo is no boolean",
        f"kind: {'9' * 5000}": "a value is not what it is tagged as",
        "kind: !!timestamp foo": "a value is not what it is tagged as",
        "kind: &a [*a]": "an anchor holds an alias of itself; write it out",
        "kind: " + "[" * 40_000: "nested more than 64 deep",
        BOMB: "aliases stand for more than 1000000 values; write them out",
        f"{HEADER}spec: {{a: !!binary aGk=}}": "holds what JSON can't",
        AGENT + "spec: {}": "spec: the field stands twice; remove one",
        AGENT.replace(
            "{nodeName: node-7}", "text"
        ): 'spec: must be an object, not "text"',
        AGENT.replace("node-7", "7"): "spec.nodeName: must be a valid string, not 7",
        AGENT.replace(
            "node-7", "n"
        ): "spec.nodeName: must be a valid string, not false",
        AGENT.replace("nodeName", "node_name").replace("node-7", "x, nodeName: x"): (
            "spec.node_name: unknown field; did you mean nodeName?"
        ),
        AGENT.replace("paris", "Paris"): "metadata.name: must be lower-case letters",
        AGENT.replace("paris,", r'"a\n\e[31mb",'): (
            r"Agent a\n\x1b[31mb: metadata.name"
        ),
        AGENT.replace("labels", "lables"): "did you mean labels?",
        AGENT.replace("node-7", "x" * 300): "spec.nodeName: too long: at most 253",
        AGENT.replace("node-7", "x, exclusions: ['::ffff:1.2.3.0/120']"): (
            "write 1.2.3.0/24"
        ),
        POLICY.replace("org}", "org, allow: }"): "spec.allow: has no value; write []",
    }.items(),
)
def test_each_mistake_is_told_with_its_remedy(text: str, problem: str) -> None:
    """One problem, and what to do about it."""
    (told,) = broken(text)
    assert problem in told


def test_a_source_that_is_no_text_is_told() -> None:
    """Whatever its bytes are."""
    (problem,) = read_manifests([Source("x", b"\xff\xfe\x00\x01\x02")]).broken
    assert "not text:" in str(problem)
    (problem,) = read_manifests([Source("y", b"kind: \x00")]).broken
    assert "save it as UTF-8" in str(problem)


def test_an_unclosed_document_does_not_hide_the_ones_before() -> None:
    """What was read until there is still reported."""
    assert len(broken(f"{AGENT.replace('Agent', 'Agnt')}---\nkind: [")) == 2


def test_a_time_is_read_as_kubernetes_reads_it() -> None:
    """Unquoted times are texts in YAML for Kubernetes."""
    text = f"{MEASUREMENT}  startAt: 2026-12-01T00:00:00Z\n"
    (document,) = read(text).of_kind(Measurement)
    assert document.object.spec.start_at is not None


@pytest.mark.parametrize(
    ("text", "value"),
    {
        "1e-3": 0.001,
        "5e-1": 0.5,
        ".5": 0.5,
        "0.25": 0.25,
    }.items(),
)
def test_numbers_are_read_as_kubernetes_reads_them(text: str, value: float) -> None:
    """An exponent needs neither a point nor a sign."""
    source = f"{MEASUREMENT}  failureProbability: {text}\n"
    (document,) = read(source).of_kind(Measurement)
    assert document.object.spec.failure_probability == value


@pytest.mark.parametrize(
    ("text", "value"),
    {"5.0": 5, "0x10": 16, "0o17": 15, "017": 15, "1e1": 10, "1_0": 10}.items(),
)
def test_integers_are_read_as_kubernetes_reads_them(text: str, value: int) -> None:
    """Hexadecimal, octal, and whole floats."""
    (document,) = read(f"{MEASUREMENT}  maxRounds: {text}\n").of_kind(Measurement)
    assert document.object.spec.max_rounds == value


def test_base_60_is_text() -> None:
    """YAML 1.1 would read 1:30 as 90."""
    (problem,) = broken(f"{MEASUREMENT}  maxRounds: 1:30\n")
    assert 'spec.maxRounds: must be a valid integer, not "1:30"' in problem


def test_a_field_without_a_value_is_absent() -> None:
    """As in a cluster, where such fields take their defaults."""
    text = MEASUREMENT.replace("weekly", "weekly, labels: ")
    (document,) = read(f"{text}  maxRounds:\n").of_kind(Measurement)
    assert document.object.spec.max_rounds == 10


def test_aliases_and_merges_are_read() -> None:
    """Where they stand for no more than a reader can hold."""
    text = AGENT.replace("{nodeName: node-7}", "&s {nodeName: node-7}")
    assert broken(text) == []


def test_an_object_twice_is_told_with_its_first_place() -> None:
    """Whichever file repeats it."""
    assert broken(AGENT, AGENT) == [
        "1.yaml:3: document 1, Agent paris: metadata.name: the same object stands at "
        "0.yaml:1: document 1, Agent paris; rename or remove one"
    ]
    assert broken(AGENT, AGENT.replace("paris,", "paris, namespace: other,")) == []


def test_a_missing_target_list_or_agent_is_told() -> None:
    """Both, and where they are named."""
    assert dangling(MEASUREMENT) == [
        "0.yaml:8: document 1, Measurement weekly: spec.agents[0].targetList: there is "
        "no TargetList 'routed' in namespace 'default'; add it or correct the name",
        "0.yaml:7: document 1, Measurement weekly: spec.agents[0].name: there is no "
        "Agent 'paris'; add it, correct the name or give a selector",
    ]


def test_an_unreadable_document_may_be_what_is_missing() -> None:
    """Whatever it was to be."""
    manifests = read(f"{MEASUREMENT}---\nkind: [")
    assert len(manifests.broken) == 1
    assert find_dangling(manifests) == []


def test_a_broken_object_is_not_missing() -> None:
    """Its own problem is told, not that others can't find it."""
    manifests = read(
        MEASUREMENT,
        AGENT.replace("node-7", "7"),
        TARGET_LIST.replace("240.0.0.0/8", "240.0.0.0/99"),
    )
    assert len(manifests.broken) == 2
    assert find_dangling(manifests) == []


def test_a_selector_must_select() -> None:
    """One that no agent meets is told."""
    chosen = "      selector: {matchLabels: {continent: %s}}\n"
    assert dangling(MEASUREMENT + chosen % "europe", AGENT, TARGET_LIST) == []
    (problem,) = dangling(MEASUREMENT + chosen % "asia", AGENT, TARGET_LIST)
    assert "spec.agents[0].selector: no Agent has such labels" in problem


def test_an_agent_must_serve_the_namespace() -> None:
    """Its allowedNamespaces bind measurements."""
    closed = AGENT.replace("node-7", "node-7, allowedNamespaces: [research]")
    (problem,) = dangling(MEASUREMENT, closed, TARGET_LIST)
    assert "does not serve namespace 'default'" in problem
    opened = closed.replace("[research]", "[research, default]")
    assert dangling(MEASUREMENT, opened, TARGET_LIST) == []


def test_who_listens_to_a_socket_must_have_one() -> None:
    """The Agent names it."""
    listening = MEASUREMENT.replace("diamondMiner", "trace").replace(
        "targetList: routed", "connections: {source: eventSocket}"
    )
    (problem,) = dangling(listening, AGENT)
    assert "spec.agents[0].connections.source: Agent 'paris' names no" in problem
    hearing = AGENT.replace("node-7", "node-7, eventSocket: /run/info/socket")
    assert dangling(listening, hearing) == []
    watching = listening.replace("eventSocket}", "kernel, ports: [443]}")
    assert dangling(watching, AGENT) == []


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: lists}
data:
  targets.csv: 240.0.0.0/8,udp,2,32,6
binaryData:
  targets.csv.zst: KLUv/QQA
"""


def test_a_list_must_find_its_config_map_and_key() -> None:
    """Under data or binaryData."""
    text = dedent("""\
        apiVersion: anabranch.dev/v1alpha1
        kind: TargetList
        metadata: {name: routed}
        spec: {configMap: {name: lists}}
        """)
    assert dangling(text, CONFIG_MAP) == []
    zst = text.replace("lists", "lists, key: targets.csv.zst")
    assert dangling(zst, CONFIG_MAP) == []
    (problem,) = dangling(text)
    assert "there is no ConfigMap 'lists' in namespace 'default'" in problem
    (problem,) = dangling(zst.replace("zst", "gz"), CONFIG_MAP)
    assert "no key 'targets.csv.gz'; it has targets.csv, targets.csv.zst" in problem
    routed = text.replace("{configMap: ", "{routes: {configMap: ").replace("}}", "}}}")
    (problem,) = dangling(routed, CONFIG_MAP)
    assert "spec.routes.configMap.key" in problem
    assert "no key 'routes.pfx2as'" in problem
    (problem,) = broken(CONFIG_MAP.replace("KLUv", "K!"))
    assert "binaryData.targets.csv.zst" in problem


@pytest.mark.parametrize(
    ("selector", "chosen"),
    {
        "{}": ["a", "b"],
        "{matchLabels: {site: lab}}": ["a"],
        "{matchExpressions: [{key: site, operator: In, values: [lab, dc]}]}": ["a"],
        "{matchExpressions: [{key: site, operator: NotIn, values: [lab]}]}": ["b"],
        "{matchExpressions: [{key: site, operator: Exists}]}": ["a"],
        "{matchExpressions: [{key: site, operator: DoesNotExist}]}": ["b"],
        "{matchLabels: {site: lab}, matchExpressions: [{key: x, operator: Exists}]}": (
            []
        ),
    }.items(),
)
def test_a_selector_selects_as_kubernetes_does(
    selector: str, chosen: list[str]
) -> None:
    """NotIn is met by agents that lack the label."""
    manifests = read(
        AGENT.replace("paris, labels: {continent: europe}", "a, labels: {site: lab}"),
        AGENT.replace("paris, labels: {continent: europe}", "b"),
        f"{MEASUREMENT}      selector: {selector}\n",
    )
    agents = [each.object for each in manifests.of_kind(Agent)]
    (measurement,) = manifests.of_kind(Measurement)
    (entry,) = measurement.object.spec.agents
    assert [agent.metadata.name for agent in select_agents(entry, agents)] == chosen
