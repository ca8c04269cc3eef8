"""The estimate of the links that no flow has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from anabranch.rounds.unseen import estimate_unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


def draw(widths: Numbers, flows: Numbers, seed: int) -> tuple[Numbers, int]:
    """Let flows choose links evenly: count the links that show, and the others."""
    generator = np.random.default_rng(seed)
    shown = [
        len(np.unique(generator.integers(width, size=count)))
        for width, count in zip(widths, flows, strict=True)
    ]
    return np.array(shown), int(widths.sum() - sum(shown))


@pytest.mark.parametrize(
    ("widths", "flows"),
    [
        pytest.param([1] * 9 + [2], [6], id="few balancers"),
        pytest.param([1, 1, 2, 3, 8, 16], [6, 12, 40], id="all kinds"),
        pytest.param([16], [24], id="wide alone"),
        pytest.param([1, 4], [1, 2, 3, 8], id="hardly any flows"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_links_that_are_missing_are_expected(
    widths: list[int], flows: list[int], seed: int
) -> None:
    """Whatever the widths are, which the estimate does not know."""
    generator = np.random.default_rng(seed)
    there = generator.choice(widths, size=6_000)
    sent = generator.choice(flows, size=len(there))
    shown, unseen = draw(there, sent, seed)
    assert estimate_unseen(shown, sent) == pytest.approx(
        unseen, rel=0.1, abs=3 * unseen**0.5
    )


def test_nothing_is_missing_where_many_flows_went() -> None:
    """Nor where a balancer is wider than any that is estimated."""
    widths, flows = np.array([1, 2, 48, 4_000]), np.array([40, 90, 5_000, 4_100])
    assert estimate_unseen(widths, flows) == pytest.approx(0, abs=1e-6)


def test_links_whose_flows_are_not_known_do_not_disturb() -> None:
    """Each link took a flow at least."""
    widths = np.array([3, 1, 1])
    one, other = (estimate_unseen(widths, np.array([flows, 6, 7])) for flows in (2, 3))
    assert one == other > 0


def test_nothing_is_known_without_flows() -> None:
    """Links that only plans know are no balancers."""
    assert estimate_unseen(np.array([1, 1]), np.array([0, 0])) == 0
    assert estimate_unseen(np.array([], dtype=int), np.array([], dtype=int)) == 0
