"""The page of a report: what is in it, and what can not get into it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from anabranch.api import Agent, Measurement, ProbingPolicy
from anabranch.report.facts import AgentFacts, DiamondFacts, Facts
from anabranch.report.graphs import Graph
from anabranch.report.page import write_page
from anabranch.rounds.outcome import Outcome
from anabranch.rounds.shortfall import TargetCounts
from anabranch.rounds.steps import Step
from anabranch.runs.record import IMPORTED, RunRecord
from anabranch.warehouse.routers import RouterStatistics

HOSTILE = '"><script>alert("@")</script>'
METRICS = (
    *("max_width", "max_length", "width_asymmetry"),
    *("probability_difference", "meshed_ratio"),
)


class Page(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.content: dict[str, list[str]] = {}
        """What is written in the elements of a name."""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self._open.append(tag)
            self.content.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """Checks that elements end in order."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Remembers text of the innermost element."""
        if self._open:
            self.content[self._open[-1]][-1] += data

    def find(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """All that is written, but for scripts and style."""
        hidden = {"script", "style"}
        pieces = (each for tag, each in self.content.items() if tag not in hidden)
        return "\n".join(text for each in pieces for text in each)


def make_record(agent: str = "paris", **policy: Any) -> RunRecord:
    """What an agent's run was started with."""

    def read(kind: Any, name: str, **spec: Any) -> Any:
        head = {"apiVersion": "anabranch.dev/v1alpha1", "kind": kind.__name__}
        return kind.read({**head, "metadata": {"name": name}, "spec": spec})

    entry = {"name": "all", "selector": {}, "targetList": "list"}
    return RunRecord(
        uid="default.survey",
        measurement=read(Measurement, "survey", diamondMiner={}, agents=[entry]),
        entry="all",
        agent=read(Agent, agent, nodeName="vp1", maxProbingRate=9_000),
        policy=read(
            ProbingPolicy,
            "default",
            **{
                "contact": HOSTILE,
                "exclusions": ["192.0.2.0/24"],
                "allow": ["240.0.0.0/4", "3fff::/20"],
                **policy,
            },
        ).spec,
        target_list=f"sha256:{'0' * 64}",
    )


def make_outcome(step: str, next_step: str | None, **counts: int) -> Outcome:
    """What a step came to."""
    fields: dict[str, Any] = {
        **dict.fromkeys(("links", "prefixes", "amplified", "looping"), 0),
        "step": step,
        "next": next_step,
        "is_cut": False,
        "probes_left": 0,
        **counts,
    }
    return Outcome(**fields)


def make_agent(name: str, record: RunRecord | None) -> AgentFacts:
    """An agent that sent 1,500 probes in two steps, which took a second and two."""
    outcomes = {
        Step(1): make_outcome("001-00", "002-00", probes=1_000, replies=600),
        Step(2): make_outcome("002-00", None, probes=500, replies=499, dropped=7),
    }
    spans = {
        Step(1): (10**15, 10**15 + 10**6),
        Step(2): (2 * 10**15, 2 * 10**15 + 2 * 10**6),
    }
    targets = TargetCounts(90, {"ExcludedByPolicy": 10})
    return AgentFacts(name, record, targets, outcomes, spans)


def make_diamonds(points: int = 3) -> DiamondFacts:
    """Statistics of diamonds, with hostile texts where texts are."""
    kinds = dict.fromkeys(
        ("diamonds", "whole", "simplest", "asymmetric", "meshed", "lopsided"), 10
    )
    distributions = [
        {
            "counted": counted,
            "metric": metric,
            "value": float(value),
            "diamonds": 10,
            "cumulative_share": (value + 1) / points,
        }
        for counted in ("distinct", "measured")
        for metric in METRICS
        for value in range(points)
    ]
    sizes = [
        {"counted": counted, "max_length": 2, "max_width": width, "diamonds": 1}
        for counted in ("distinct", "measured")
        for width in range(2, 2 + points)
    ]
    diamond = {
        **dict.fromkeys(("divergence_addr", "convergence_addr"), HOSTILE),
        **dict.fromkeys(("agent", "prefix"), HOSTILE),
        "protocol": 17,
        "encounters": 4,
        **dict.fromkeys(METRICS, None),
        "max_width": 5,
        "max_length": 2,
    }
    ranked = [diamond] * 20
    return DiamondFacts(
        {"measured": kinds, "distinct": kinds}, distributions, sizes, ranked, ranked
    )


def make_facts(**changed: Any) -> Facts:
    """All facts, with hostile texts where texts are."""
    links = {(ttl, f"10.0.0.{ttl}", f"10.0.0.{ttl + 1}"): ttl for ttl in range(1, 9)}
    hub = {
        "addr": HOSTILE,
        "next_hops": 9,
        "min_ttl": 2,
        "max_ttl": 3,
        "agents": 1,
        "flows": 7,
    }
    end = {"end_reason": HOSTILE, "traces": 9, "switched": 1, "probes": 99}
    facts = Facts(
        agents=[make_agent(HOSTILE, make_record())],
        new_links={1: 80, 2: 8},
        found={"interfaces": 55, "links": 88},
        hubs=[hub],
        diamonds=make_diamonds(),
        ends=[end],
        routers=make_routers(),
        router_diamonds=make_diamonds(2),
        graphs=[Graph(HOSTILE, HOSTILE, HOSTILE, links, 8)],
        version="1.2.3",
    )
    return replace(facts, **changed)


def make_routers() -> RouterStatistics:
    """Two routers, and a set in conflict."""
    return RouterStatistics(
        pairs=[
            {"verdict": "undetermined", "test": "", "pairs": 5},
            {"verdict": "accept", "test": HOSTILE, "pairs": 4},
        ],
        sizes=[{"addresses": 2, "routers": 1}, {"addresses": 3, "routers": 1}],
        conflicts=1,
        torn=[
            {
                **dict.fromkeys(("router_addr", "first_addr", "second_addr"), HOSTILE),
                **dict.fromkeys(("test", "prefix"), HOSTILE),
                "ttl": 7,
                "traces": 2,
            }
        ],
        largest=[{"router_addr": HOSTILE, "addresses": 3}],
        changes={"one smaller": {"measured": 3, "distinct": 1}},
        widths=[{"max_width": 4, "router_max_width": 2, "diamonds": 3}],
    )


def hash_text(text: str) -> str:
    """What a policy calls a text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def test_hostile_texts_are_told_and_do_nothing() -> None:
    """No script but ours, no handler, nothing that is fetched."""
    page = Page(write_page(make_facts()))
    data, script = page.content["script"]
    (graph,) = json.loads(data)
    assert graph["title"] == HOSTILE
    assert "alert" not in script
    attributes = [attrs for _, attrs in page.elements]
    names = {name for attrs in attributes for name in attrs}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "style", "srcset", "action"} & names
    assert all((attrs.get("href") or "#").startswith("#") for attrs in attributes)
    assert page.text.count(HOSTILE) > 40
    assert page.content["title"][:1] == ["survey: report of run 1"]


def test_sizes_of_routers_stand_beside_those_of_the_paper() -> None:
    """As shares of two addresses, and of up to ten."""
    page = Page(write_page(make_facts()))
    paper = "in Vermeulen et al., IMC 2018"
    told = f"50% have two addresses (68% {paper}), 100% have up to ten (97% {paper})"
    assert told in page.text


def test_the_policy_of_the_page_allows_its_style_and_its_script_alone() -> None:
    """By their hashes."""
    page = Page(write_page(make_facts()))
    (policy,) = (
        attrs["content"] or ""
        for attrs in page.find("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    (style,), (_, script) = page.content["style"], page.content["script"]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src {hash_text(style)}",
        f"script-src {hash_text(script)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_everything_has_a_name_for_those_who_do_not_see_it() -> None:
    """Tables, charts and fieldsets; headings go down one by one; IDs are there once."""
    page = Page(write_page(make_facts()))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert tags.count("fieldset") == tags.count("legend") == 1
    charts = [attrs for attrs in page.find("svg") if "aria-hidden" not in attrs]
    assert len(charts) == 16
    for attrs in charts:
        assert attrs["role"] == "img"
        assert len(attrs["aria-label"] or "") > 40
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    links = {(attrs["href"] or "")[1:] for attrs in page.find("a")}
    wanted = {"asked", "course", "links", "diamonds", "routers", "drawings"}
    assert links == wanted <= set(ids)
    assert page.find("html") == [{"lang": "en"}]


def test_the_course_is_told_in_numbers() -> None:
    """Rates count the time in which probes were sent, step by step."""
    text = Page(write_page(make_facts())).text
    for told in (
        *("1,500", "1,099", "73.3%", "9,000", "500", "ended in round 2"),
        "10 of 100 targets left out: 10 excluded by the policy",
        "7 packets dropped by the kernel unread",
        *("1 network", "2 networks alone", "2001-09-09 01:46:40"),
    ):
        assert told in text


def test_an_agent_that_did_not_start_and_one_under_way_are_told() -> None:
    """The survey is not over then."""
    first = {Step(1): make_outcome("001-00", "002-00", probes=10, replies=5)}
    half = replace(make_agent("paris", make_record()), outcomes=first)
    absent = AgentFacts("tokyo", None, None, {}, {})
    begun = replace(absent, name="lima", record=make_record("lima"))
    text = Page(write_page(make_facts(agents=[half, absent, begun]))).text
    assert "It is not over: 3 agents of 3 had not ended" in text
    assert "beyond round 1" in text
    assert "not begun" in text
    assert "in its first step" in text
    assert "not over yet" in text


def test_the_links_that_agents_expect_to_have_missed_are_told_together() -> None:
    """By runs whose rule does not estimate them, nothing is said."""
    last = make_outcome("001-00", None, probes=10, replies=5)
    one, other = (
        replace(
            make_agent(name, make_record(name)),
            outcomes={Step(1): replace(last, missing_links=missing)},
        )
        for name, missing in (("paris", 1_200.4), ("tokyo", None))
    )
    assert "1,200 more links" in Page(write_page(make_facts(agents=[one, other]))).text
    assert "more links" not in Page(write_page(make_facts(agents=[other]))).text


def test_a_survey_of_files_had_no_policy() -> None:
    """So none is told, and no rate."""
    agent = make_agent("files", make_record(contact=IMPORTED))
    text = Page(write_page(make_facts(agents=[agent]))).text
    assert "made of files of other tools" in text
    assert "The policy when it started" not in text
    assert "9,000" not in text


@pytest.mark.parametrize("diamonds", [None, "none"])
def test_without_links_and_diamonds_it_says_so(diamonds: str | None) -> None:
    """And has no script."""
    none = dict.fromkeys(
        ("diamonds", "whole", "simplest", "asymmetric", "meshed", "lopsided"), 0
    )
    empty = DiamondFacts({"measured": none, "distinct": none}, [], [], [], [])
    facts = make_facts(
        diamonds=empty if diamonds else None, hubs=[], graphs=[], ends=[]
    )
    page = Page(write_page(facts))
    assert "No diamonds were found." in page.text
    assert "No links were found." in page.text
    assert "script" not in page.content
    assert "drawings" not in {(attrs["href"] or "")[1:] for attrs in page.find("a")}


def test_a_page_is_no_larger_than_its_bounds_allow() -> None:
    """With thousands of agents, values and links, of IPv6 addresses."""
    links = {
        (n % 254, f"3fff:1234:5678:9abc:def0:1234:5678:{n:x}", f"3fff::{n:x}"): 10**9
        for n in range(1_000)
    }
    facts = make_facts(
        agents=[make_agent(f"agent-{n:04}", make_record()) for n in range(5_000)],
        diamonds=make_diamonds(5_000),
        graphs=[Graph("group", str(n), "title", links, 10**6) for n in range(28)],
    )
    page = write_page(facts)
    assert "The first 100 of 5,000 agents" in page
    assert len(page) < 4_000_000


def test_routers_are_told_if_aliases_were_looked_for() -> None:
    """By size, with what is in conflict, and with what diamonds become."""
    page = write_page(make_facts())
    assert "1 set of addresses in conflict are left out" in page
    assert "One smaller diamond" in page
    # Accepted pairs come first.
    assert page.index(">accept<") < page.index(">undetermined<")
    assert '<a href="#routers">' in page
    without = write_page(make_facts(routers=None))
    assert "Alias resolution" not in without
    assert '<a href="#routers">' not in without
