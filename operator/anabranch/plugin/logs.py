"""`kubectl anabranch logs`: what agents and Jobs said about a round."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from anabranch.api import Measurement
from anabranch.cli.command import write
from anabranch.cluster.client import NOT_FOUND, RefusedError
from anabranch.cluster.objects import Place
from anabranch.manifests.agents import name_pod
from anabranch.manifests.labels import MEASUREMENT
from anabranch.plugin.scene import look_at
from anabranch.plugin.session import PluginError, add_connection_arguments, converse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from anabranch.cli.command import Commands
    from anabranch.plugin.progress import Told
    from anabranch.plugin.session import Session

_JOB = "batch.kubernetes.io/job-name"
_AFTER = timedelta(seconds=30)
"""For how long after a Round's end its agent's words still count as about it."""
_TIME_CHARACTERS = len("2026-12-01T00:00:00")


@dataclass(frozen=True)
class Source:
    """A pod whose log has lines about a round, and the times that they are of."""

    title: str
    pod: str
    since: datetime | None = None
    until: datetime | None = None


def add_parser(commands: Commands, command: str) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        command,
        help="show what agents and Jobs said about a round",
        description="Shows the logs of a Measurement's newest round: of its agents, "
        "while it went on, and of the Jobs that plan it and evaluate it. It takes the "
        "right to read logs of pods in the operator's namespace.",
    )
    parser.add_argument("name", metavar="NAME", help="the Measurement")
    parser.add_argument(
        "--round", type=int, metavar="N", help="another round, by its number"
    )
    parser.add_argument("--agent", help="only this agent's logs, and its Jobs'")
    parser.add_argument(
        "--tail", type=int, metavar="N", help="only the last lines of each log"
    )
    add_connection_arguments(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Show the logs."""

    async def talk(session: Session) -> int:
        measurement = await session.find(Measurement, chosen.name)
        rounds = (await look_at(session, measurement)).rounds
        selector = f"{MEASUREMENT}={measurement.metadata.uid}"
        jobs = await session.list_bodies("Job", session.system, selector)
        pods = await session.list_bodies("Pod", session.system, _JOB)
        number = chosen.round or max((t.round.spec.round for t in rounds), default=None)
        sources = [
            *list_agents(rounds, number, chosen.agent),
            *list_jobs(jobs, pods, number, chosen.agent),
        ]
        if not sources:
            raise PluginError(
                f"no Round or Job of {chosen.name} is there; they go some time after "
                "the run, and those of an earlier round before that"
            )
        for source in sources:
            write(f"==> {source.title} <==\n")
            write(await _read(session, source, chosen.tail))
        return 0

    return converse(chosen, talk)


def list_agents(
    rounds: Iterable[Told], number: int | None, agent: str | None
) -> list[Source]:
    """List the agents that have a Round of a number, and when they worked on it."""
    found: dict[str, tuple[datetime | None, datetime | None]] = {}
    for told in rounds:
        spec, status = told.round.spec, told.round.status
        if spec.round != number or agent not in {None, spec.agent}:
            continue
        since, until = told.round.metadata.creation_timestamp, status.completion_time
        if spec.agent in found:
            before, after = found[spec.agent]
            since = min(before, since) if before and since else None
            until = max(after, until) if after and until else None
        found[spec.agent] = since, until
    return [
        Source(
            f"agent {name}, round {number}",
            name_pod(name),
            since,
            until + _AFTER if until else None,
        )
        for name, (since, until) in sorted(found.items())
    ]


def list_jobs(
    jobs: Iterable[dict[str, Any]],
    pods: Iterable[dict[str, Any]],
    number: int | None,
    agent: str | None,
) -> list[Source]:
    """List the pods of Jobs that are about a round, or about all of the run."""
    by_job: dict[str, list[str]] = {}
    for pod in pods:
        metadata = pod["metadata"]
        by_job.setdefault(metadata["labels"][_JOB], []).append(metadata["name"])
    found = []
    for job in sorted(jobs, key=lambda one: str(one["metadata"]["creationTimestamp"])):
        name = job["metadata"]["name"]
        owner = job["metadata"]["labels"].get("anabranch.dev/agent")
        if agent is not None and owner not in {None, agent}:
            continue
        if is_about_another(name, number):
            continue
        found += [Source(f"Job {name}", pod) for pod in sorted(by_job.get(name, ()))]
    return found


def is_about_another(job: str, number: int | None) -> bool:
    """Return whether a Job's name says that it is of a step of another round."""
    for word, follower in zip(job.split("-"), job.split("-")[1:], strict=False):
        is_step = len(word) == 3 and len(follower) == 2  # noqa: PLR2004 (see Step)
        if is_step and word.isdecimal() and follower.isdecimal():
            return number is not None and int(word) != number
    return False


def cut(text: str, until: datetime | None) -> str:
    """Return the lines of a log up to a time, without Kubernetes' own times."""
    kept = []
    for line in text.splitlines():
        stamp, _, words = line.partition(" ")
        if until is not None and _read_time(stamp) > until:
            break
        kept.append(f"{words}\n")
    return "".join(kept)


def _read_time(stamp: str) -> datetime:
    text = stamp[:_TIME_CHARACTERS]
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


async def _read(session: Session, source: Source, tail: int | None) -> str:
    query = {"timestamps": "true"}
    if source.since:
        query["sinceTime"] = f"{source.since:%Y-%m-%dT%H:%M:%SZ}"
    if tail is not None and source.until is None:
        query["tailLines"] = str(tail)
    path = f"{Place('Pod', session.system, source.pod).path}/log"
    try:
        text = await session.objects.cluster.read_text(path, query)
    except RefusedError as error:
        if error.status == NOT_FOUND:
            return f"(the pod {source.pod} is gone, and its log with it)\n"
        raise
    lines: Sequence[str] = cut(text, source.until).splitlines(keepends=True)
    return "".join(lines if tail is None else lines[-tail:] if tail else ())
