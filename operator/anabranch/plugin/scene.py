"""What there is to see of a Measurement or Survey in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anabranch.api import Agent, Measurement, Round, Survey
from anabranch.manifests.labels import MEASUREMENT
from anabranch.plugin.progress import Told, find_written
from anabranch.plugin.session import PluginError, Session, read, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Scene:
    """A Measurement with what belongs to it."""

    measurement: Measurement
    rounds: tuple[Told, ...]
    agents: tuple[Agent, ...] | None
    """All Agents, or None if the user may not list them."""


async def find_subject(session: Session, text: str) -> Measurement | Survey:
    """Return what ``NAME`` or ``KIND/NAME`` means: a Measurement, or else a Survey.

    Raises:
        PluginError: When there is none, with names that are like it.
    """
    word, slash, name = text.partition("/")
    if slash:
        if _is_named(Measurement, word):
            return await session.find(Measurement, name)
        if _is_named(Survey, word):
            return await session.find(Survey, name)
        raise PluginError(
            f"{word!r} is neither measurement nor survey; write measurement/NAME or "
            "survey/NAME"
        )
    if measurement := await session.look_up(Measurement, text):
        return measurement
    if survey := await session.look_up(Survey, text):
        return survey
    measurements = await session.list_objects(Measurement)
    surveys = await session.list_objects(Survey)
    known = [each.metadata.name for each in (*measurements, *surveys)]
    raise PluginError(
        f"there is no Measurement or Survey {text!r} in namespace "
        f"{session.namespace}; {suggest(text, known)}"
    )


def _is_named(kind: type[Measurement | Survey], word: str) -> bool:
    """Return whether kubectl knows a kind by a word."""
    names = {kind.__name__.lower(), kind.plural, *kind.short_names}
    return word.partition(".")[0].lower() in names


async def look_at(session: Session, measurement: Measurement) -> Scene:
    """Return a Measurement's scene."""
    selector = f"{MEASUREMENT}={measurement.metadata.uid}"
    rounds = await list_rounds(session, session.namespace, selector)
    agents = await session.try_list(Agent, namespace=session.system)
    own = [told for told in rounds if told.round.spec.run_id == measurement.spec.run_id]
    return Scene(measurement, tuple(own), None if agents is None else tuple(agents))


async def list_rounds(
    session: Session, namespace: str, selector: str = ""
) -> Sequence[Told]:
    """Return the Rounds of a namespace, or of all for the empty string."""
    found = await session.list_bodies("Round", namespace, selector)
    return [Told(read(Round, body), find_written(body)) for body in found]
