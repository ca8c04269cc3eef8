"""How often an algorithm misses a link, beside what its stopping points predict."""

from __future__ import annotations

from pathlib import Path

import pytest
from anabranch_engine import Trial

from anabranch.local.packettrial import Tally
from anabranch.local.validation import Validation, summarise

TOPOLOGIES = Path("examples/topologies")


def validate(name: str, algorithm: str, failure_probability: float) -> Validation:
    """Runs 20 samples of 500 runs."""
    trial = Trial(
        TOPOLOGIES / f"{name}.txt",
        algorithm=algorithm,
        failure_probability=failure_probability,
        phi=2,
        seed=3,
    )
    return summarise(
        [trial.run(first, 500) for first in range(0, 10_000, 500)],
        500,
        predicted=trial.predicted,
        vertices=trial.vertices,
        edges=trial.edges,
    )


def test_the_mda_fails_as_often_as_predicted() -> None:
    """On the simplest diamond that is 1 in 32."""
    found = validate("simplest", "mda", 0.05)
    assert found.predicted == pytest.approx(0.03125)
    assert found.verdict == "it fails as often as predicted"
    assert not found.is_broken


def test_a_rule_that_stops_too_early_is_found_out() -> None:
    """A single flow crosses one path of two: it always fails."""
    found = validate("simplest", "singlePath", 0.05)
    assert found.mean == 1
    assert found.edges == pytest.approx(0.6)
    assert found.is_broken
    assert found.verdict == "it fails more often than predicted"


def test_mda_lite_costs_less_than_the_mda_and_switches_where_it_must() -> None:
    """Figure 1 of its paper: it saves where hops are not meshed, and only there."""
    plain, lite = (validate("unmeshed", each, 0.00393) for each in ("mda", "mdaLite"))
    assert lite.probes < 0.75 * plain.probes
    assert sum(lite.switches.values()) < 0.02
    meshed, switched = (
        validate("meshed", each, 0.00393) for each in ("mda", "mdaLite")
    )
    assert switched.switches["meshed"] > 0.98
    assert switched.probes == pytest.approx(meshed.probes, rel=0.05)


def test_a_confidence_interval_takes_two_samples() -> None:
    """One has no variation."""
    with pytest.raises(ValueError, match="two samples"):
        summarise([], 10, predicted=None, vertices=1, edges=1)


@pytest.mark.parametrize(
    ("failures", "predicted", "verdict"),
    [
        (0, 0.003, "it fails as often as predicted"),
        (0, 0.05, "it fails less often than predicted"),
        (1, 1e-4, "it fails as often as predicted"),
        (20, 0.003, "it fails more often than predicted"),
    ],
)
def test_few_runs_say_no_more_than_they_can(
    failures: int, predicted: float, verdict: str
) -> None:
    """A thousand of them may well have no failure where one in 300 is allowed."""
    samples = [Tally(failures=(failures + place) // 10) for place in range(10)]
    found = summarise(samples, 100, predicted=predicted, vertices=1, edges=1)
    assert found.verdict == verdict
    assert found.is_broken == verdict.startswith("it fails more")
