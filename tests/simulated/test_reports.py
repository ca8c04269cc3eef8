"""Reports of surveys on real packets, which a real browser opens."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

import anabranch
from browser import Browser, open_browser
from invocation import invoke
from surveying import command, write_manifests
from world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORLD = World(32, 16, vantage_points=2)
RESOLVED = World(
    64,
    0,
    vantage_points=2,
    switches=dict.fromkeys(("interface-ids", "constant-ids", "silent-routers"), 0.0),
)
"""One whose routers mostly have one counter."""
TARGETS = ["240.0.0.0/19,udp,1,32,6", "3fff::/60,icmp6,1,32,6"]
CONTACT = '"><img src=x onerror=alert(1)>@example.org'
"""It is a valid one."""
EXCLUDED = ["240.0.30.0/23"]
RUNS = ("rounds", "traces", "files", "aliases")
TRACES: dict[str, object] = {"traces": {}, "aliases": {"aliases": {"rounds": 2}}}
"""What runs that trace ask for."""


def choose_world(run_id: str) -> World:
    """The simulated Internet of a run."""
    return RESOLVED if run_id == "aliases" else WORLD


def write_hostile_manifests(folder: Path, run_id: str) -> Path:
    """Manifests whose policy has a hostile contact and an exclusion."""
    world = choose_world(run_id)
    hosts = [f"240.0.{n}.9/32,udp,1,32,1" for n in range(world.prefixes)]
    hosts += [f"3fff:0:0:{n:x}::9/128,icmp6,1,32,1" for n in range(world.prefixes_v6)]
    if run_id in TRACES:
        tool = {"trace": TRACES[run_id]}
        file = write_manifests(folder, hosts, points=2, tool=tool, runId=run_id)
    else:
        file = write_manifests(folder, TARGETS, points=2, runId=run_id, maxRounds=4)
    documents = list(yaml.safe_load_all(file.read_text()))
    for document in documents:
        if document["kind"] == "ProbingPolicy":
            document["spec"] |= {"contact": CONTACT, "exclusions": EXCLUDED}
    file.write_text(yaml.safe_dump_all(documents))
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey in rounds, two that trace, and one of a file of the first of these."""
    folder = tmp_path_factory.mktemp("reports")
    data = folder / "data"
    for run_id in ("rounds", *TRACES):
        manifests = write_hostile_manifests(folder / run_id, run_id)
        choose_world(run_id).run(*command(manifests, data))
    file = folder / "traces.warts"
    words = ["survey", "--run-id", "traces", "--data", str(data), "--agent", "agent1"]
    invoke("results", *words, "--format", "warts", "--output", str(file))
    words = ["--name", "survey", "--run-id", "files", "--data", str(data)]
    invoke("import", str(file), *words, "--allow-reserved")
    return data


@pytest.fixture(scope="module")
def reports(data: Path) -> dict[str, Path]:
    """The report of each run."""
    return {
        run_id: write_report(data, run_id, data.parent / f"{run_id}.html")
        for run_id in RUNS
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests."""
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def write_report(data: Path, run_id: str, output: Path, *words: str) -> Path:
    """Writes a report, and tells where."""
    arguments = ["--data", str(data), "--run-id", run_id, "--output", str(output)]
    invoke("report", "survey", *arguments, *words)
    return output


def refuse(*words: str) -> str:
    """The one line that the command says if it refuses."""
    (line,) = invoke("report", *words, code=1).splitlines()
    return line


def count_drawn(browser: Browser) -> tuple[int, int]:
    """The interfaces and links that are drawn."""
    found = [
        int(browser.run(f"document.querySelectorAll('#canvas .{kind}').length"))
        for kind in ("node", "link")
    ]
    return found[0], found[1]


GRAPHS = "button[data-graph]"
"""The buttons of graphs."""


def read_text(browser: Browser, where: str) -> str:
    """What is written somewhere in the page."""
    text: str = browser.run(f"document.querySelector({where!r}).textContent")
    return text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run_id", RUNS)
def test_a_browser_opens_it_without_a_complaint_and_asks_for_nothing_else(
    scheme: str, run_id: str, reports: dict[str, Path], browser: Browser
) -> None:
    """In light and dark, and nothing is wider than the window."""
    file = reports[run_id]
    before = len(browser.fetched)
    browser.open(file.as_uri(), scheme=scheme)
    assert browser.complaints == []
    assert browser.fetched[before:] == [file.as_uri()]
    assert browser.run("document.querySelectorAll('img').length") == 0
    colours = browser.run(
        "[getComputedStyle(document.body).color, "
        "getComputedStyle(document.body).backgroundColor].join(' ')"
    )
    ink, paper = (
        int(each.partition("(")[2].partition(",")[0]) for each in colours.split(" rgb")
    )
    assert (ink < paper) == (scheme == "light")
    for width in (360, 1200):
        browser.resize(width, 800)
        assert browser.run("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("run_id", RUNS)
def test_each_graph_is_drawn_as_it_was_found(
    run_id: str, data: Path, reports: dict[str, Path], browser: Browser
) -> None:
    """The widest diamonds, and the paths to the target with the most links."""
    survey = anabranch.open(data, "survey", run_id=run_id)
    browser.open(reports[run_id].as_uri())
    names = browser.run(
        f"[...document.querySelectorAll('{GRAPHS}')].map(each => each.textContent)"
    )
    points: dict[tuple[str, str], int] = {}
    for row in survey.diamonds.to_pylist():
        ends = (row["divergence_addr"], row["convergence_addr"])
        points[ends] = max(points.get(ends, 0), row["max_width"])
    widths = sorted(points.values(), reverse=True)[:20]
    assert [int(name.split()[1]) for name in names[: len(widths)]] == widths
    assert names[len(widths) :] == survey.agents
    for number, name in enumerate(names):
        browser.run(f"document.querySelectorAll('{GRAPHS}')[{number}].click()")
        pressed = f"document.querySelector('{GRAPHS}[aria-pressed=true]').textContent"
        assert browser.run(pressed) == name
        nodes, links = count_drawn(browser)
        assert links >= nodes - 1 > 1
        assert read_text(browser, "#told").startswith(
            f"{nodes} interfaces, {links} link"
        )
        if number < len(widths):
            assert links >= 2 * widths[number]
    assert browser.complaints == []
    prefix = read_text(browser, "#drawn").rpartition(" ")[2]
    expected = {
        (row["near_ttl"], row["near_addr"], row["far_addr"])
        for row in survey.paths.to_pylist()
        if (row["agent"], row["prefix"]) == (survey.agents[-1], prefix)
    }
    assert links == len(expected)


def test_a_graph_is_drawn_between_routers_too(
    data: Path, reports: dict[str, Path], browser: Browser
) -> None:
    """Nodes are the routers of each hop, and those of several addresses name them."""
    survey = anabranch.open(data, "survey", run_id="aliases")
    router_of = {
        row["addr"]: row["router_addr"]
        for row in survey.routers.to_pylist()
        if not row["is_in_conflict"]
    }
    browser.open(reports["aliases"].as_uri())
    graphs = browser.run("JSON.parse(document.getElementById('graphs').textContent)")
    browser.run("document.querySelector('[data-level=routers]').click()")
    merged = 0
    for number, graph in enumerate(graphs):
        browser.run(f"document.querySelectorAll('{GRAPHS}')[{number}].click()")
        names = [router_of.get(each, each) for each in graph["addresses"]]
        links = {
            ((ttl, names[near]), (ttl + 1, names[far]))
            for ttl, near, far, _ in graph["links"]
        }
        nodes = {end for both in links for end in both}
        assert count_drawn(browser) == (len(nodes), len(links))
        routers = {router for _, router in nodes}
        told = f"{len(routers)} routers, {len(links)} links. "
        assert read_text(browser, "#told").startswith(told)
        merged += len(names) - len(routers)
    assert merged
    assert browser.complaints == []
    several = "[...document.querySelectorAll('#canvas .node')].find(each => "
    several += "each.textContent.includes('+'))"
    for number in range(len(graphs)):
        browser.run(f"document.querySelectorAll('{GRAPHS}')[{number}].click()")
        if browser.run(f"{several} !== undefined"):
            break
    browser.run(f"{several}.dispatchEvent(new MouseEvent('click'))")
    assert read_text(browser, "#told").startswith("The router of ")
    browser.run("document.querySelector('[data-level=interfaces]').click()")
    assert browser.run(f"{several} === undefined")


def test_diamonds_are_compared_before_and_after_alias_resolution(
    data: Path, reports: dict[str, Path], browser: Browser
) -> None:
    """In charts that can be read, and with the numbers of the results."""
    survey = anabranch.open(data, "survey", run_id="aliases")
    widest = max(row["max_width"] for row in survey.router_diamonds.to_pylist())
    browser.open(reports["aliases"].as_uri())
    rows = browser.run(
        "[...document.querySelectorAll('#routers tbody tr')].map(each => "
        "[...each.children].map(cell => cell.textContent))"
    )
    (found,) = (row for row in rows if row[:2] == ["Max width", "measured"])
    assert found[-1] == str(widest)
    charts = browser.run(
        "[...document.querySelectorAll('#routers svg[role=img]')].map(each => "
        "each.getBoundingClientRect().width)"
    )
    assert len(charts) >= 4
    assert min(charts) > 200
    for name in ("before", "after"):
        drawn = f"document.querySelectorAll('#routers figure .line.{name}').length"
        assert browser.run(drawn) >= 3


def test_a_click_or_a_key_chooses_an_interface(
    reports: dict[str, Path], browser: Browser
) -> None:
    """What leads to it and on from it is marked, and told."""
    browser.open(reports["rounds"].as_uri())
    nodes, links = count_drawn(browser)
    node = "document.querySelectorAll('#canvas .node')[1]"
    browser.run(f"{node}.dispatchEvent(new MouseEvent('click'))")
    address = browser.run(f"{node}.textContent")
    assert read_text(browser, "#told").startswith(f"{address} at hop ")
    marked = browser.run("document.querySelectorAll('#canvas .link.on').length")
    assert 2 <= marked < links
    browser.run("document.querySelector('#canvas svg').focus()")
    browser.press("Escape")
    assert read_text(browser, "#told").startswith(f"{nodes} interfaces, ")
    told = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        browser.press(key)
        told.append(read_text(browser, "#told").partition(" at hop")[0])
    first = browser.run("document.querySelector('#canvas .node').textContent")
    assert told[0] == told[3] == first
    assert len(set(told)) == 3
    assert browser.complaints == []


def test_it_tells_what_the_results_tell(data: Path, reports: dict[str, Path]) -> None:
    """The same numbers, and a hostile contact as text."""
    page, traces, files, aliases = (file.read_text() for file in reports.values())
    survey = anabranch.open(data, "survey", run_id="rounds")
    with survey.open_results() as results:
        found = results.count()
    assert f"<dd>{found['links']:,}</dd>" in page.replace("<small></small>", "")
    assert f"<dd>{found['interfaces']:,}</dd>" in page
    assert f">{survey.diamonds.num_rows:,}<" in page.replace("<small>", "<")
    assert "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;@example.org" in page
    assert "4 of 96 targets left out: 4 excluded by the policy" in page
    assert "How traces ended" in traces
    assert "Diamonds between routers" in aliases
    assert "Diamonds between routers" not in traces
    assert "How traces ended" not in page
    assert "made of files of other tools" in files


def test_the_reader_names_another_target(data: Path, tmp_path: Path) -> None:
    """Of IPv6, too; one without links is refused."""
    words: tuple[str, ...] = ("--target", "3fff:0:0:3::/64")
    page = write_report(data, "rounds", tmp_path / "report.html", *words).read_text()
    assert "<legend>Paths to 3fff:0:0:3::/64</legend>" in page
    words = ("survey", "--data", str(data), "--run-id", "rounds", "--target")
    assert "no links are known on the way to 192.0.2.0/24" in refuse(
        *words, "192.0.2.0/24"
    )
    assert "name a target's prefix, or largest" in refuse(*words, "there")


def test_what_can_not_be_done_is_one_clear_line(data: Path, tmp_path: Path) -> None:
    """An unknown run, one without replies, a file that can not be written."""
    words: tuple[str, ...] = ("survey", "--data", str(data))
    assert "there is no run of default.other" in refuse("other", *words[1:])
    assert "has the runs aliases, files, rounds, traces; choose one" in refuse(*words)
    nowhere = tmp_path / "nowhere"
    told = refuse(*words, "--run-id", "rounds", "--output", str(nowhere / "a.html"))
    assert told.endswith(f"'{nowhere}'; correct the path or its rights")
    told = refuse(*words, "--run-id", "rounds", "--output", str(tmp_path))
    assert told.endswith(f"'{tmp_path}'; correct the path or its rights")
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    for step in copy.glob("agents/*/*/rounds/0*"):
        shutil.rmtree(step)
    words = ("survey", "--data", str(copy), "--run-id", "rounds")
    told = refuse(*words, "--output", str(tmp_path / "none.html"))
    assert told == "anabranch: there are no replies yet; let it run for a while"
    assert not (tmp_path / "none.html").exists()
