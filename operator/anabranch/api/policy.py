"""`ProbingPolicy`: what may be probed at all, and how fast."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from anabranch.api.lists import Distinct
from anabranch.api.model import Model, Rule
from anabranch.api.resource import AGE, Column, Resource, Status, condition_column
from anabranch.api.text import Contact, Prefix, Rate, Seconds

POLICY_NAME = "default"

PrefixList = Annotated[
    tuple[Prefix, ...],
    Field(max_length=10_000),
    Distinct(),
]
# Replaced as a whole: of a merged set, server-side apply leaves out what became empty,
# and an absent list opens everything.
AllowList = Annotated[tuple[Prefix, ...], Field(max_length=10_000)]


class TenantLimits(Model):
    """What no measurement may exceed, whoever made it."""

    max_targets: Annotated[int, Field(ge=1, le=1 << 25)] = 1 << 25
    """Targets of one agent, once its list is split."""
    max_rounds: Annotated[int, Field(ge=1, le=255)] = 255
    """Rounds of one run."""
    max_duration_seconds: Seconds | None = None
    """How long one run may take; by default as long as it needs."""


class ProbingPolicySpec(Model):
    """What agents obey, whatever a measurement asks for."""

    contact: Contact
    """Who probes: a URL or mail address, in ASCII; probes carry it where it fits."""
    exclusions: PrefixList = ()
    """Networks that are never probed: opt-outs. Running rounds obey within seconds."""
    allow: AllowList | None = None
    """When given, nothing outside of it is probed; [] allows nothing."""
    allow_reserved: bool = False
    """Whether agents that say so too may probe space that is not globally reachable."""
    max_rate: Rate | None = None
    """Probes a second that each agent may send at most."""
    max_rate_per_prefix: Rate = 100
    """Probes a second that each agent may send to one target at most."""
    stop: bool = False
    """Stops all probing, within seconds, as long as it is true."""
    limits: TenantLimits = TenantLimits()
    """What no measurement may exceed."""

    @field_validator("allow")
    @classmethod
    def _is_meant(cls, allow: AllowList | None) -> AllowList:
        if allow is None:
            # Taken for an absent list, it would open everything.
            raise PydanticCustomError(
                "rule", "has no value; write [] to allow nothing, or remove the field"
            )
        return allow


class ProbingPolicyStatus(Status):
    """Whether the policy counts."""


class ProbingPolicy(Resource):
    """The rules of good conduct that bind every agent; without one, nothing is sent."""

    rules = (
        Rule(
            lambda policy: policy.metadata.name == POLICY_NAME,
            f"self.metadata.name == '{POLICY_NAME}'",
            f"the policy's name must be '{POLICY_NAME}': there is just one",
        ),
    )

    plural = "probingpolicies"
    short_names = ("pp",)
    columns = (
        condition_column("Ready"),
        Column("Stop", ".spec.stop", "boolean"),
        AGE,
        Column("Contact", ".spec.contact", wide=True),
    )

    spec: ProbingPolicySpec
    """What agents obey."""
    status: ProbingPolicyStatus = ProbingPolicyStatus()
    """Whether it counts; written by the operator."""
