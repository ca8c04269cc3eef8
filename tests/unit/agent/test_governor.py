"""The dead man's switch, and the one place that sets rates."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from anabranch_agent.deadman import DeadMan
from anabranch_agent.governor import Governor
from devcluster.process import PATIENCE, wait_until


@dataclass
class Clock:
    """A clock that is set."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@dataclass
class Prober:
    """Notes its rate, and the most that all of them had together."""

    all_of_them: list[Prober] = field(default_factory=list)
    rate: int = 0
    most: int = 0
    per_prefix: float = 0

    def set_rate(self, rate: int) -> None:
        """Sets it."""
        self.rate = rate
        self.most = max(self.most, sum(prober.rate for prober in self.all_of_them))

    def set_max_rate_per_prefix(self, rate: float) -> None:
        """Sets it."""
        self.per_prefix = rate


def make_governor(names: str) -> tuple[Governor, dict[str, Prober], Clock, DeadMan]:
    """A governor of some probers, whose Lease was just renewed."""
    clock, deadman = Clock(), DeadMan(40)
    governor = Governor(deadman, clock)
    together: list[Prober] = []
    probers = {name: Prober(together) for name in names}
    together += probers.values()
    for name, prober in probers.items():
        governor.attach(name, prober)
    deadman.renew(clock.now)
    return governor, probers, clock, deadman


def test_the_switch_counts_from_when_a_renewal_was_sent() -> None:
    """Not from when it was answered; and not at all before the first."""
    deadman = DeadMan(40)
    assert not deadman.is_held(0)
    assert deadman.age(0) is None
    deadman.renew(5)
    assert deadman.is_held(45)
    assert not deadman.is_held(45.1)
    assert deadman.age(45) == 40
    deadman.renew(46)
    assert deadman.is_held(50)
    deadman.release()
    assert not deadman.is_held(50)


def test_nothing_is_sent_while_the_lease_is_not_held() -> None:
    """Whatever is granted meanwhile; after the next renewal all is as granted."""
    governor, probers, clock, deadman = make_governor("ab")
    governor.grant({"a": 10, "b": 20}, 100)
    assert (probers["a"].rate, probers["b"].rate, governor.rate) == (10, 20, 30)
    clock.now += 40.5
    governor.enforce()
    assert (probers["a"].rate, probers["b"].rate, governor.rate) == (0, 0, 0)
    governor.grant({"a": 15, "b": 15}, 100)
    assert probers["a"].rate == 0
    assert governor.granted == 30
    deadman.renew(clock.now)
    governor.enforce()
    assert (probers["a"].rate, probers["b"].rate) == (15, 15)


def test_the_switch_acts_by_itself() -> None:
    """A thread looks at it, whatever the others do."""
    governor, probers, clock, _ = make_governor("a")
    governor.grant({"a": 10}, 100)
    thread = threading.Thread(target=governor.watch, args=(0.01,))
    thread.start()
    clock.now += 41
    wait_until("silence", lambda: probers["a"].rate == 0, 5)
    governor.close()
    thread.join(5 * PATIENCE)
    assert not thread.is_alive()


SHARES = st.fixed_dictionaries({name: st.integers(0, 100) for name in "abc"})


@given(st.lists(SHARES, min_size=1))
def test_on_the_way_from_shares_to_others_no_more_is_sent(
    grants: list[dict[str, int]],
) -> None:
    """Those that shrink do so before those that grow."""
    governor, probers, _, _ = make_governor("abc")
    before = 0
    for grant in grants:
        for prober in probers.values():
            prober.most = 0
        governor.grant(grant, 100)
        after = sum(grant.values())
        assert max(p.most for p in probers.values()) <= max(before, after)
        assert {name: prober.rate for name, prober in probers.items()} == grant
        before = after


def test_who_is_detached_keeps_no_rate_and_who_is_new_has_none() -> None:
    """Until it is granted one."""
    governor, probers, _, _ = make_governor("a")
    governor.grant({"a": 10, "b": 20}, 100)
    governor.detach("a")
    assert governor.rate == 0
    new = Prober()
    governor.attach("b", new)
    assert governor.rate == 0
    governor.enforce()
    assert (new.rate, governor.rate) == (20, 20)
    assert probers["a"].rate == 10


def test_each_prober_may_send_as_much_to_a_prefix() -> None:
    """Also who comes later."""
    governor, probers, _, _ = make_governor("ab")
    governor.grant({"a": 10, "b": 20}, 50)
    assert [probers[name].per_prefix for name in "ab"] == [50, 50]
    new = Prober()
    governor.attach("c", new)
    assert new.per_prefix == 50
    governor.grant({"a": 10, "b": 20, "c": 5}, 1 / 3)
    assert [each.per_prefix for each in (*probers.values(), new)] == [1 / 3] * 3
