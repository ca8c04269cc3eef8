"""The kinds: the single source of the CRDs and of what a manifest may say."""

from anabranch.api.agent import Agent
from anabranch.api.measurement import Measurement
from anabranch.api.policy import ProbingPolicy
from anabranch.api.resource import Resource
from anabranch.api.round import Round
from anabranch.api.survey import Survey
from anabranch.api.targetlist import TargetList

KINDS: tuple[type[Resource], ...] = (
    Measurement,
    Survey,
    Agent,
    TargetList,
    ProbingPolicy,
    Round,
)

__all__ = [
    "KINDS",
    "Agent",
    "Measurement",
    "ProbingPolicy",
    "Resource",
    "Round",
    "Survey",
    "TargetList",
]
