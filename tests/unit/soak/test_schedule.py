"""Faults are drawn from a seed."""

from __future__ import annotations

from collections import Counter

from soak.faults import FAULTS, list_kinds
from soak.schedule import Kind, draw_strikes

KINDS = [Kind("short", 1, 2), Kind("long", 10, 60), Kind("at once")]


def test_a_seed_gives_the_same_faults_again() -> None:
    """Another one gives others."""
    first = draw_strikes(1, 600, KINDS, nodes=2)
    assert first == draw_strikes(1, 600, KINDS, nodes=2)
    assert first != draw_strikes(2, 600, KINDS, nodes=2)


def test_faults_are_within_their_bounds() -> None:
    """In order, at nodes that there are, and as long as their kinds may last."""
    kinds = {kind.name: kind for kind in KINDS}
    strikes = draw_strikes(1, 600, KINDS, nodes=2)
    assert [each.at for each in strikes] == sorted(each.at for each in strikes)
    assert strikes[-1].at <= 600
    for each in strikes:
        assert each.node in {0, 1}
        assert kinds[each.kind].least <= each.lasts <= kinds[each.kind].most


def test_all_kinds_come_equally_often() -> None:
    """None comes twice before all others came."""
    strikes = draw_strikes(3, 3600, KINDS, nodes=1)
    counts = Counter(each.kind for each in strikes)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_quick_faults_are_some_of_all() -> None:
    """Those that are soon over."""
    quick = list_kinds(quick=True)
    assert set(quick) < set(list_kinds(quick=False)) == FAULTS.keys()
