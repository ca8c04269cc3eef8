"""`LabelSelector`: conditions on labels, as Kubernetes has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from anabranch.api.model import Model, Rule
from anabranch.api.text import LabelName, LabelValue


class LabelRequirement(Model):
    """One condition on labels (Kubernetes' ``LabelSelectorRequirement``)."""

    rules = (
        Rule(
            lambda need: (need.operator in {"In", "NotIn"}) == bool(need.values),
            "(self.operator in ['In', 'NotIn']) == "
            "(has(self.values) && self.values.size() > 0)",
            "operators In and NotIn take values, Exists and DoesNotExist none",
        ),
    )

    key: LabelName
    """The label's name."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value is compared with `values`."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The values to compare with, for In and NotIn."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether labels meet the condition; NotIn holds without the key."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


class LabelSelector(Model):
    """Conditions on labels, all of which must hold. Without any, all agents match."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=64)] = {}
    """Labels and the values that they must have."""
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], Field(max_length=64)
    ] = ()
    """Further conditions on labels."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether labels meet all conditions."""
        return self.match_labels.items() <= labels.items() and all(
            need.matches(labels) for need in self.match_expressions
        )
