"""Logging in: no time tells a known name from an unknown one."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher, extract_parameters

from serving.access.accounts import Accounts
from serving.access.login import TRIES, Login
from serving.access.sessions import Refused, Sessions
from tests.locked import HASHER, SECRETS


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


def test_right_passwords_that_come_at_once_do_not_lock_the_door():
    """Behind one address there may be a whole hospital: what is being checked is not counted as wrong."""
    login = Login(Accounts({"alice": HASHER.hash(SECRETS["alice"])}), Sessions())

    async def status(password: str) -> tuple[int, int]:
        try:
            await login.check("alice", password, "10.0.0.1")
        except Refused as refused:
            return refused.status, refused.retry_after
        return 200, 0

    async def all_of_it() -> None:
        came = await asyncio.gather(*(status(SECRETS["alice"]) for _ in range(3 * TRIES)))
        assert {one for one in came if one[0] != 200} == {(429, 2)}, "asked to come again at once"
        assert await status(SECRETS["alice"]) == (200, 0)
        for _ in range(TRIES):
            assert (await status("wrong"))[0] == 401
        code, wait = await status(SECRETS["alice"])
        assert code == 429 and wait > 2

    asyncio.run(all_of_it())
