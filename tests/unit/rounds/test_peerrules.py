"""The rules of other tools, with which ours are compared."""

from __future__ import annotations

from peerrules import Answer, fill_as_yarrp, probe_as_flashroute

TRUNK = 12


class Line:
    """A network in which all prefixes share a trunk, and each has two routers more."""

    def __init__(self, *, silent: int = 0, hosts_answer: bool = True) -> None:
        """Put so many silent hops behind the trunk."""
        self.asked: list[tuple[int, int]] = []
        self._silent = silent
        self._hosts_answer = hosts_answer

    def ask(self, prefix: int, ttl: int) -> Answer | None:
        """Return who answers."""
        self.asked.append((prefix, ttl))
        if ttl <= TRUNK:
            return Answer(f"trunk {ttl}", None)
        beyond = ttl - TRUNK - self._silent
        if beyond in {1, 2}:
            return Answer(f"{prefix} {beyond}", None)
        if beyond > 2 and self._hosts_answer:
            return Answer(f"host {prefix}", TRUNK + self._silent + 3)
        return None


def test_fill_mode_asks_to_its_last_ttl_and_then_while_it_is_answered() -> None:
    """From the 17th hop on, one hop at a time."""
    line = Line(silent=3)
    hops = fill_as_yarrp(2, line.ask)
    met = {*range(1, TRUNK + 1), 16, 17}
    assert {prefix: set(found) for prefix, found in hops.items()} == {0: met, 1: met}
    assert line.asked == [(prefix, ttl) for prefix in range(2) for ttl in range(1, 19)]


def test_flashroute_probes_a_shared_trunk_once() -> None:
    """Backward, it stops at the first interface that it knows."""
    line = Line()
    hops = probe_as_flashroute(3, line.ask)
    assert {name for found in hops.values() for name in found.values()} == {
        *(f"trunk {ttl}" for ttl in range(1, TRUNK + 1)),
        *(f"{prefix} {hop}" for prefix in range(3) for hop in (1, 2)),
    }
    on_trunk = [ttl for _, ttl in line.asked if ttl < TRUNK]
    assert sorted(on_trunk) == list(range(1, TRUNK))


def test_flashroute_gives_up_behind_five_silent_hops() -> None:
    """A host that is silent is taken to be at the sixteenth hop."""
    line = Line(hosts_answer=False)
    probe_as_flashroute(1, line.ask)
    assert max(ttl for _, ttl in line.asked[1:]) <= 16 + 5
