"""Logging in: no time tells a known name from an unknown one."""

from __future__ import annotations

from argon2 import PasswordHasher, extract_parameters

from serving.access.accounts import Accounts

from .conftest import HASHER, SECRETS


def test_an_unknown_name_is_checked_as_any_account_is(monkeypatch):
    """As often and with the same parameters, or the time would tell which names there are."""
    dear = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    accounts = Accounts({"alice": HASHER.hash(SECRETS["alice"]), "bob": dear.hash(SECRETS["bob"])})
    checked: list[int] = []
    verify = PasswordHasher.verify

    def counted(self, code, password):
        checked.append(extract_parameters(code).memory_cost)
        return verify(self, code, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for name in ("alice", "bob"):
        assert not accounts.check(name, "wrong") and accounts.check(name, SECRETS[name])
    assert checked == [8, 8, 16, 16]
    checked.clear()
    names = [f"nobody{number}" for number in range(40)]
    for name in names * 2:
        assert not accounts.check(name, "wrong")
    assert (
        len(checked) == 80 and set(checked) == {8, 16} and checked[:40] == checked[40:]
    )  # a name's cost stays the same
