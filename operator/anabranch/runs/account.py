"""The account of a namespace: which probes its Rounds were charged with on a day.

Each charge is an object that is put before the probes may be sent. All that it says is
in its key, so a listing is enough to know an account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from anabranch.store.keys import account, accounts_of

if TYPE_CHECKING:
    from anabranch.store.store import Store

_KEPT = timedelta(days=7)
"""For how long an account is kept, for people who want to see it."""


@dataclass(frozen=True)
class Charge:
    """Probes of a Round that are charged, by their places in the order of sending."""

    round: str
    """The name of the Round."""
    begin: int
    """The number of the Round's probes before them."""
    end: int
    """The number of the Round's probes up to them. Below ``begin``, it gives back what
    was charged and is not sent."""

    @property
    def probes(self) -> int:
        """The number of probes, negative if they are given back."""
        return self.end - self.begin


@dataclass
class Account:
    """What a namespace was charged on a day; make it by ``read``."""

    namespace: str
    day: date
    used: int = 0
    """The probes charged so far."""
    paid: dict[str, int] = field(default_factory=dict)
    """Up to which of its probes each Round was charged, by name."""
    _counts: dict[str, int] = field(default_factory=dict)
    """The number of charges of each Round."""

    @staticmethod
    def read(store: Store, namespace: str, day: date) -> Account:
        """Read an account.

        Raises:
            OSError: When the store can't be reached.
            ValueError: When there is an object that does not belong there.
        """
        found, folder = Account(namespace, day), account(namespace, day)
        for key in store.list(folder):
            name, _, rest = key.removeprefix(f"{folder}/").rpartition("/")
            try:
                _, begin, end = map(int, rest.removesuffix(".json").split("-"))
            except ValueError:
                message = f"{key} is no charge of an account; remove it"
                raise ValueError(message) from None
            found.note(Charge(name, begin, end))
        return found

    def find_key(self, charge: Charge) -> str:
        """Return the key of the next charge of a Round."""
        number = self._counts.get(charge.round, 0)
        name = f"{number:06}-{charge.begin}-{charge.end}.json"
        return f"{account(self.namespace, self.day)}/{charge.round}/{name}"

    def note(self, charge: Charge) -> None:
        """Note a charge that the store has."""
        self.used += charge.probes
        self.paid[charge.round] = charge.end
        self._counts[charge.round] = self._counts.get(charge.round, 0) + 1


def remove_old(store: Store, namespace: str, today: date) -> None:
    """Remove the accounts of a namespace that nobody needs any more.

    Raises:
        OSError: When the store can't be reached.
        ValueError: When there is a folder that does not belong there.
    """
    for name in store.folders(accounts_of(namespace)):
        try:
            day = date.fromisoformat(name)
        except ValueError:
            message = f"{accounts_of(namespace)}/{name} is no account of a day; "
            raise ValueError(f"{message}remove it") from None
        if day < today - _KEPT:
            store.remove(account(namespace, day))
