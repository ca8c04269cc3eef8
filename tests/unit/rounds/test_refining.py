"""Rounds by evidence: of each prefix by itself, and of all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from anabranch.rounds.evidence import Scope
from anabranch.rounds.refining import Part, ask_parts
from anabranch.rounds.steps import Step
from crossed import Row, make_crossings, make_sent

if TYPE_CHECKING:
    from anabranch.rounds.crossings import Crossings
    from anabranch.rounds.sent import Sent

A, W = 1, 11
ROUND = Step(3)
SENT = make_sent([(prefix, 1, 4, 3) for prefix in range(4)])


def make_part(rows: list[Row], sent: Sent = SENT) -> Part:
    """What reads these rows."""

    def read() -> tuple[Crossings, Sent]:
        return make_crossings(rows, sent), sent

    return read


def ask(parts: list[Part], scope: Scope, step: Step = ROUND) -> list[tuple[int, ...]]:
    """What all parts are asked for."""
    tables = pa.concat_tables(ask_parts(parts, step, scope, 0.05))
    return sorted(tuple(row.values()) for row in tables.to_pylist())


def test_prefixes_settle_a_balancer_together_or_each_for_itself() -> None:
    """Three flows of each of two are as good as six of one."""
    sent = make_sent([(prefix, 2, 7, 3) for prefix in range(2)])
    parts = [
        make_part([(prefix, 2, A, W, 3), (prefix, 3, W, 0, 3)], sent)
        for prefix in range(2)
    ]
    before = {(prefix, 1, 1, 0, 1) for prefix in range(2)}
    assert {*ask(parts, Scope.SURVEY)} == before
    assert ask(parts, Scope.PREFIX) == [(0, 2, 4, 3, 3), (1, 2, 4, 3, 3)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 3),
            st.integers(1, 3),
            st.integers(11, 14),
            st.integers(1, 3),
        ),
        unique_by=lambda row: row[:4],
        min_size=1,
    ),
    st.integers(1, 3),
    st.sampled_from([Step(2), ROUND]),
)
def test_parts_ask_for_what_the_whole_asks(
    rows: list[Row], cut: int, step: Step
) -> None:
    """However prefixes are cut into parts."""
    low = [row for row in rows if row[0] < cut]
    high = [row for row in rows if row[0] >= cut]
    whole = ask([make_part(rows)], Scope.SURVEY, step)
    assert {*ask([make_part(low), make_part(high)], Scope.SURVEY, step)} == {*whole}
