"""What a namespace was charged on a day, as the store has it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from anabranch.runs.account import Account, Charge, remove_old
from anabranch.store.directory import DirectoryStore
from observations import NOW

if TYPE_CHECKING:
    from pathlib import Path

TODAY = NOW.date()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with nothing in it."""
    return DirectoryStore(tmp_path)


def charge(store: DirectoryStore, account: Account, *charges: Charge) -> None:
    """Charges an account, as the operator does."""
    for each in charges:
        assert store.put(account.find_key(each), b"{}\n")
        account.note(each)


def test_what_is_charged_is_found_again(store: DirectoryStore) -> None:
    """With what was given back, and with what began anew below the rest."""
    account = Account.read(store, "a", TODAY)
    assert (account.used, account.paid) == (0, {})
    charge(
        store,
        account,
        *(Charge("x", 0, 500), Charge("x", 500, 620), Charge("x", 620, 600)),
        *(Charge("y", 70, 80), Charge("y", 0, 10)),
    )
    again = Account.read(store, "a", TODAY)
    assert again == account
    assert (again.used, again.paid) == (620, {"x": 600, "y": 10})


def test_each_namespace_has_an_account_of_each_day(store: DirectoryStore) -> None:
    """Nobody pays for another one, or for yesterday."""
    charge(store, Account.read(store, "a", TODAY), Charge("x", 0, 5))
    assert Account.read(store, "b", TODAY).used == 0
    assert Account.read(store, "a", TODAY + timedelta(1)).used == 0


def test_a_repeated_charge_counts_once(store: DirectoryStore) -> None:
    """It has the key that it had when nobody knew whether it was put."""
    account, each = Account.read(store, "a", TODAY), Charge("x", 0, 5)
    store.put(account.find_key(each), b"{}\n")
    assert not store.put(account.find_key(each), b"{}\n")
    assert Account.read(store, "a", TODAY).used == 5


def test_accounts_are_kept_for_a_week(store: DirectoryStore) -> None:
    """Those before are removed, and nothing of another namespace is."""
    for days in (0, 7, 8):
        for namespace in ("a", "b"):
            account = Account.read(store, namespace, TODAY - timedelta(days))
            charge(store, account, Charge("x", 0, 5))
    remove_old(store, "a", TODAY)
    assert list(store.folders("accounts/a")) == ["2026-11-17", "2026-11-24"]
    assert len(list(store.folders("accounts/b"))) == 3


def test_what_is_no_charge_is_named(store: DirectoryStore) -> None:
    """It says what to remove."""
    store.put("accounts/a/2026-11-24/x/note.txt", b"")
    with pytest.raises(ValueError, match=r"x/note\.txt is no charge.*; remove it"):
        Account.read(store, "a", TODAY)
    store.put("accounts/a/old/x", b"")
    with pytest.raises(ValueError, match=r"accounts/a/old is no account.*; remove it"):
        remove_old(store, "a", TODAY)
