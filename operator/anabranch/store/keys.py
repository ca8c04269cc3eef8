"""Where things are in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch.rounds.steps import Step


@dataclass(frozen=True)
class StepKeys:
    """What one step of an agent's run leaves."""

    root: str

    @property
    def plan(self) -> str:
        """What it probes."""
        return f"{self.root}/plan.parquet"

    @property
    def summary(self) -> str:
        """What is to be known of the plan without reading it."""
        return f"{self.root}/plan.json"

    @property
    def replies(self) -> str:
        """The folder of its reply parts."""
        return f"{self.root}/replies"

    def parts(self, block: int) -> str:
        """The folder of a block's reply parts."""
        return f"{self.replies}/{block:05}"

    def prefixes(self, block: int, piece: int) -> str:
        """What is to be known of the prefixes that replied, of a piece of a block."""
        return f"{self.root}/prefixes/{block:05}-{piece:03}.parquet"

    def links(self, block: int, piece: int) -> str:
        """The links that it found, of a piece of a block."""
        return f"{self.root}/links/{block:05}-{piece:03}.parquet"

    @property
    def outcome(self) -> str:
        """How it ended, and what comes next."""
        return f"{self.root}/outcome.json"


@dataclass(frozen=True)
class RunKeys:
    """What one agent's run of a measurement leaves.

    ``measurement`` is the UID that tells it from all others in the store.
    """

    measurement: str
    run_id: str
    agent: str

    @property
    def root(self) -> str:
        """The folder of all of it."""
        return f"agents/{self.agent}/{self.measurement}/{self.run_id}"

    @property
    def run(self) -> str:
        """What the run was started with."""
        return f"{self.root}/run.json"

    @property
    def targets(self) -> str:
        """All targets with what they ask for, as a plan."""
        return f"{self.root}/targets.parquet"

    @property
    def target_counts(self) -> str:
        """How many targets are probed, and what keeps others from it."""
        return f"{self.root}/targets.json"

    @property
    def diamonds_root(self) -> str:
        """The folder of its diamonds."""
        return f"{self.root}/diamonds"

    def diamonds(self, block: int, piece: int) -> str:
        """The diamonds of all of its links, of a piece of a block."""
        return f"{self.diamonds_root}/{block:05}-{piece:03}.parquet"

    def step(self, step: Step) -> StepKeys:
        """What a step leaves."""
        return StepKeys(f"{self.root}/{step}")


@dataclass(frozen=True)
class SurveyKeys:
    """What a whole run of a measurement in a cluster leaves, besides its agents' runs.

    ``part`` tells a rehearsal of the run from the run itself.
    """

    measurement: str
    run_id: str
    part: str = ""

    @property
    def root(self) -> str:
        """The folder of all of it."""
        return f"surveys/{self.measurement}/{self.run_id}{self.part}"

    @property
    def roster(self) -> str:
        """Who takes part, and by which rules."""
        return f"{self.root}/roster.json"

    def count(self, agent: str) -> str:
        """What an agent would send, of a rehearsal."""
        return f"{self.root}/counts/{agent}.json"

    def table(self, name: str) -> str:
        """The results of all agents, as a table."""
        return f"{self.root}/{name}.parquet"

    @property
    def summary(self) -> str:
        """How much was found."""
        return f"{self.root}/summary.json"


def shared_list(digest: str) -> str:
    """The canonical target list of this digest."""
    return f"shared/{digest}"


def list_report(uid: str, version: str) -> str:
    """What was found in a version of a TargetList of this UID."""
    return f"lists/{uid}/{version}.json"
