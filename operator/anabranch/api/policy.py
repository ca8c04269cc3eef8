"""`ProbingPolicy`: what agents may probe, and how fast."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from anabranch.api.lists import Distinct
from anabranch.api.model import Model, Rule
from anabranch.api.resource import AGE, Column, Resource, Status, condition_column
from anabranch.api.text import (
    MAX_COUNT,
    Contact,
    DnsLabel,
    Prefix,
    Rate,
    Seconds,
)

POLICY_NAME = "default"

PrefixList = Annotated[
    tuple[Prefix, ...],
    Field(max_length=10_000),
    Distinct(),
]
# Replaced as a whole: of a merged set, server-side apply leaves out what became empty,
# and an absent list opens everything.
AllowList = Annotated[tuple[Prefix, ...], Field(max_length=10_000)]


class Quota(Model):
    """What all runs of a namespace together may do."""

    max_probes_per_day: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    """The most probes that all runs of a namespace together send in a day, which begins
    at 00:00 UTC; by default there is no limit."""
    max_concurrent_runs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """The most runs that a namespace has under way at once; by default there is no
    limit."""


class NamespaceQuota(Quota):
    """The quota of one namespace."""

    name: DnsLabel
    """The name of the namespace."""


class TenantLimits(Quota):
    """Limits for every measurement, whoever created it, and for every namespace."""

    max_targets: Annotated[int, Field(ge=1, le=1 << 25)] = 1 << 25
    """The most targets of one agent, after its list has been split."""
    max_rounds: Annotated[int, Field(ge=1, le=255)] = 255
    """The most rounds of one run."""
    max_duration_seconds: Seconds | None = None
    """The longest duration of one run; by default there is no limit."""
    namespaces: Annotated[
        tuple[NamespaceQuota, ...], Field(max_length=1000), Distinct(by="name")
    ] = ()
    """Namespaces with quotas of their own. What one does not give is as for all."""

    def find_quota(self, namespace: str) -> Quota:
        """Return the quota of a namespace."""
        own = next((each for each in self.namespaces if each.name == namespace), None)
        days, runs = self.max_probes_per_day, self.max_concurrent_runs
        return Quota(
            max_probes_per_day=(own and own.max_probes_per_day) or days,
            max_concurrent_runs=(own and own.max_concurrent_runs) or runs,
        )


class ProbingPolicySpec(Model):
    """What agents obey, whatever measurements ask for."""

    contact: Contact
    """Who probes: a URL or mail address, in ASCII. Probes carry it if it fits."""
    exclusions: PrefixList = ()
    """Networks that no agent probes, such as opt-outs. Running rounds obey within
    seconds."""
    allow: AllowList | None = None
    """The only networks that agents may probe; by default all. [] allows nothing."""
    allow_reserved: bool = False
    """Whether agents may probe space that is not globally reachable. The Agent must
    allow it too."""
    max_rate: Rate | None = None
    """The highest rate of each agent, in probes a second; by default the agent's own
    limit alone applies."""
    max_rate_per_prefix: Rate = 100
    """The highest rate of each agent to one target, in probes a second."""
    stop: bool = False
    """Stops all probing within seconds, while true."""
    limits: TenantLimits = TenantLimits()
    """Limits for every measurement, and quotas of namespaces."""

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
    """Whether the policy is in force."""


class ProbingPolicy(Resource):
    """The rules of good conduct for every agent. Without a policy, nothing is sent."""

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
    """Whether the policy is in force; written by the operator."""
