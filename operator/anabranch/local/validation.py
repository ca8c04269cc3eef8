"""Statistics that tell whether an algorithm fails as often as predicted.

The stopping points of an algorithm predict how often it fails. The method is that of
Fakeroute (Vermeulen et al., "Multilevel MDA-Lite Paris Traceroute", IMC 2018, section
3): it takes the failure rate of each sample, their mean, and its confidence interval.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anabranch_engine import Sample

FEWEST_SAMPLES = 2
"""A single sample has no standard deviation."""
_DEVIATIONS = {0.95: 1.96, 0.999: 3.29}
"""Quantiles of the normal distribution, for two-sided intervals."""


class Sums(Protocol):
    """Sums over some runs, in the process or on packets."""

    @property
    def failures(self) -> int:
        """The number of runs that did not find exactly the links of the topology."""

    @property
    def probes(self) -> float:
        """The number of probes sent."""

    @property
    def vertices(self) -> int:
        """The number of interfaces found."""

    @property
    def edges(self) -> int:
        """The number of links found."""

    @property
    def switches(self) -> dict[str, int]:
        """The number of runs in which MDA-Lite switched to the MDA, by reason."""


@dataclass(frozen=True)
class Validation:
    """A summary of samples of an algorithm's runs."""

    runs: int
    """The number of runs."""
    predicted: float | None
    """The failure probability by the stopping points; None without a formula."""
    mean: float
    """The mean rate of failure."""
    error: float
    """The standard error of the mean."""
    probes: float
    """The mean number of probes of a run."""
    vertices: float
    """The mean share of the interfaces that a run found."""
    edges: float
    """The mean share of the links that a run found."""
    switches: dict[str, float]
    """The share of runs in which MDA-Lite switched to the MDA, by reason."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the confidence interval of the mean, for 0.95 or 0.999."""
        half = _DEVIATIONS[confidence] * self.error
        return max(self.mean - half, 0.0), min(self.mean + half, 1.0)

    @property
    def verdict(self) -> str:
        """How the mean compares with the prediction, at a confidence of 0.999."""
        if self.predicted is None:
            return "no prediction: a load balancer prefers some next hops"
        if self.is_broken:
            return "it fails more often than predicted"
        if self.mean < self.predicted - self._width(self.predicted):
            return "it fails less often than predicted"
        return "it fails as often as predicted"

    @property
    def is_broken(self) -> bool:
        """Whether the algorithm fails more often than predicted."""
        if self.predicted is None:
            return False
        return self.mean > self.predicted + self._width(self.predicted)

    def _width(self, predicted: float) -> float:
        """Return by how much chance alone may move the mean, at a confidence of 0.999.

        Few runs may have no failure at all, and so no spread. The prediction has one.
        """
        error = math.sqrt(predicted * (1 - predicted) / self.runs)
        return _DEVIATIONS[0.999] * max(self.error, error)


@dataclass(frozen=True)
class Comparison:
    """What runs of an algorithm found and sent, relative to the MDA on the same."""

    algorithm: str
    vertices: float
    edges: float
    probes: float
    missed: float
    """The share of runs that missed a link."""
    switched: float
    """The share of runs in which MDA-Lite went over to the MDA."""


def compare(samples: Mapping[str, Sequence[Sample]], runs: int) -> list[Comparison]:
    """Compare algorithms on the same topologies; the first one is what they relate to.

    Each has as many samples, of ``runs`` runs each.
    """
    first = next(iter(samples.values()))

    def relate(of: Callable[[Sample], int], found: Sequence[Sample]) -> float:
        return sum(map(of, found)) / sum(map(of, first))

    return [
        Comparison(
            algorithm=algorithm,
            vertices=relate(lambda sample: sample.vertices, found),
            edges=relate(lambda sample: sample.edges, found),
            probes=relate(lambda sample: sample.probes, found),
            missed=sum(sample.failures for sample in found) / runs / len(found),
            switched=sum(sum(sample.switches.values()) for sample in found)
            / (runs * len(found)),
        )
        for algorithm, found in samples.items()
    ]


def summarise(
    samples: Sequence[Sums],
    runs: int,
    *,
    predicted: float | None,
    vertices: int,
    edges: int,
) -> Validation:
    """Summarise samples of ``runs`` runs each.

    The topology has ``vertices`` interfaces and ``edges`` links.

    Raises:
        ValueError: When there are fewer than two samples.
    """
    if len(samples) < FEWEST_SAMPLES:
        raise ValueError("a confidence interval needs at least two samples")
    rates = [sample.failures / runs for sample in samples]
    total = runs * len(samples)
    switches = sum((Counter(sample.switches) for sample in samples), Counter[str]())
    return Validation(
        runs=total,
        predicted=predicted,
        mean=statistics.fmean(rates),
        error=statistics.stdev(rates) / math.sqrt(len(rates)),
        probes=sum(sample.probes for sample in samples) / total,
        vertices=sum(sample.vertices for sample in samples) / total / vertices,
        edges=sum(sample.edges for sample in samples) / total / edges,
        switches={reason: count / total for reason, count in sorted(switches.items())},
    )
