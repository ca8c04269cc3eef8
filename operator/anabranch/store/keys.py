"""The keys of objects in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from anabranch.rounds.steps import Step

AGENTS = "agents"
"""The folder of all that agents' runs have."""
SURVEYS = "surveys"
"""The folder of all that measurements have besides."""
REMOVALS = "removals"
"""The folder of notes on runs that are to go."""
CYCLES = "cycles"
"""The folder of all cycles of Surveys."""
REPORT = "report"
"""The output that is a page about a run."""
REPORT_PAGE = "report.html"
"""The name of that page."""

AGENT_READS = ("plan.parquet", "replies/*")
"""What an agent reads of a run, by patterns below the run's folder."""
AGENT_WRITES = ("replies/*", "archives/*")
"""What it lists and puts there."""


@dataclass(frozen=True)
class StepKeys:
    """The keys of one step of an agent's run."""

    root: str

    @property
    def plan(self) -> str:
        """The plan of the step's probes."""
        return f"{self.root}/plan.parquet"

    @property
    def summary(self) -> str:
        """The summary of the plan: its digest, blocks and probes."""
        return f"{self.root}/plan.json"

    @property
    def replies(self) -> str:
        """The folder of the step's reply parts."""
        return f"{self.root}/replies"

    def hand_out(self, number: int) -> str:
        """Return the key of what was handed out to an agent of a team."""
        return f"{self.root}/handouts/{number:06}.json"

    @property
    def unfinished(self) -> str:
        """The folder of what agents of a team left though they said otherwise."""
        return f"{self.root}/unfinished"

    def left_of(self, number: int) -> str:
        """Return the key of what was left of a hand-out, by the hand-out's number."""
        return f"{self.unfinished}/{number:06}.json"

    def parts(self, block: int) -> str:
        """Return the folder of a block's reply parts."""
        return f"{self.replies}/{block:05}"

    def prefixes(self, block: int, piece: int) -> str:
        """Return the key of facts about prefixes with replies, of a block's piece."""
        return f"{self.root}/prefixes/{block:05}-{piece:03}.parquet"

    def links(self, block: int, piece: int) -> str:
        """Return the key of the links that the step found, of a block's piece."""
        return f"{self.root}/links/{block:05}-{piece:03}.parquet"

    @property
    def counts(self) -> str:
        """The folder of what workers counted for the next step, until it is planned."""
        return f"{self.root}/counts"

    def count(self, block: int, piece: int, name: str) -> str:
        """Return the key of one of these counts, of a block's piece."""
        return f"{self.counts}/{block:05}-{piece:03}-{name}"

    @property
    def outcome(self) -> str:
        """The outcome of the step, which names the next step."""
        return f"{self.root}/outcome.json"


@dataclass(frozen=True)
class RunKeys:
    """The keys of one agent's run of a measurement.

    ``measurement`` is the measurement's UID, which is unique in the store.
    """

    measurement: str
    run_id: str
    agent: str

    @property
    def root(self) -> str:
        """The folder of all the run's objects."""
        return f"{AGENTS}/{self.agent}/{self.measurement}/{self.run_id}"

    @property
    def run(self) -> str:
        """The record with which the run was started."""
        return f"{self.root}/run.json"

    @property
    def targets(self) -> str:
        """All targets with their TTLs and flows, as a plan."""
        return f"{self.root}/targets.parquet"

    @property
    def target_counts(self) -> str:
        """How many targets are probed, and why others are not."""
        return f"{self.root}/targets.json"

    @property
    def diamonds_root(self) -> str:
        """The folder of the run's diamonds."""
        return f"{self.root}/diamonds"

    @property
    def router_diamonds_root(self) -> str:
        """The folder of the run's diamonds between routers."""
        return f"{self.root}/router-diamonds"

    @property
    def archives(self) -> str:
        """The folder of the archives of a standing measurement."""
        return f"{self.root}/archives"

    def diamonds(self, block: int, piece: int) -> str:
        """Return the key of the diamonds among all links, of a block's piece."""
        return f"{self.diamonds_root}/{block:05}-{piece:03}.parquet"

    def router_diamonds(self, block: int, piece: int) -> str:
        """Return the key of the diamonds between routers, of a block's piece."""
        return f"{self.router_diamonds_root}/{block:05}-{piece:03}.parquet"

    def step(self, step: Step) -> StepKeys:
        """Return the keys of a step."""
        return StepKeys(f"{self.root}/{step}")


@dataclass(frozen=True)
class SurveyKeys:
    """The keys of a measurement's run in a cluster, besides those of its agents' runs.

    ``part`` distinguishes a rehearsal of the run from the run itself.
    """

    measurement: str
    run_id: str
    part: str = ""

    @property
    def root(self) -> str:
        """The folder of all the run's objects."""
        return f"{SURVEYS}/{self.measurement}/{self.run_id}{self.part}"

    @property
    def roster(self) -> str:
        """The agents that take part, and the rules of the run."""
        return f"{self.root}/roster.json"

    def count(self, agent: str) -> str:
        """Return the key of the probes that an agent would send, in a rehearsal."""
        return f"{self.root}/counts/{agent}.json"

    @property
    def routers(self) -> str:
        """The addresses of the routers that all agents found."""
        return f"{self.root}/routers/addresses.parquet"

    def annotation(self, number: int) -> str:
        """Return the key of what a ConfigMap said of addresses, by its place."""
        return f"{self.root}/annotations/{number:02}"

    def table(self, name: str) -> str:
        """Return the key of a table with the results of all agents."""
        return f"{self.root}/{name}.parquet"

    def output(self, name: str) -> str:
        """Return the folder with what was found in a format."""
        return f"{self.root}/{name}"

    @property
    def report(self) -> str:
        """The page about the run."""
        return f"{self.output(REPORT)}/{REPORT_PAGE}"

    @property
    def summary(self) -> str:
        """The numbers of interfaces and links that all agents found."""
        return f"{self.root}/summary.json"

    @property
    def removal(self) -> str:
        """The folder of the note that the run is to go, with all of its objects."""
        return f"{REMOVALS}/{self.measurement}/{self.run_id}"


@dataclass(frozen=True)
class CycleKeys:
    """The keys of one cycle of a Survey; ``survey`` is the Survey's UID."""

    survey: str
    number: int

    @property
    def root(self) -> str:
        """The folder of what is known of the cycle, besides its record."""
        return f"{cycles_of(self.survey)}/{self.number:06}"

    @property
    def record(self) -> str:
        """The record with which the cycle begins."""
        return f"{self.root}.json"

    def measurement(self, uid: str) -> str:
        """Return the key of the note that a Measurement was made for the cycle."""
        return f"{self.root}/measurements/{uid}.json"

    @property
    def end(self) -> str:
        """How the cycle ended."""
        return f"{self.root}/end.json"

    @property
    def removed(self) -> str:
        """The note that the objects of the cycle's Measurements are removed."""
        return f"{self.root}/removed.json"


def cycles_of(survey: str) -> str:
    """Return the folder of the cycles of the Survey with this UID."""
    return f"{CYCLES}/{survey}"


def accounts_of(namespace: str) -> str:
    """Return the folder of the accounts of a namespace, one for each day."""
    return f"accounts/{namespace}"


def account(namespace: str, day: date) -> str:
    """Return the folder of what a namespace was charged on a day."""
    return f"{accounts_of(namespace)}/{day}"


def shared_list(digest: str) -> str:
    """Return the key of the canonical target list with this digest."""
    return f"shared/{digest}"


def list_report(uid: str, version: str) -> str:
    """Return the key of the report on a version of the TargetList with this UID."""
    return f"lists/{uid}/{version}.json"
