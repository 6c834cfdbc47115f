"""What replicas share, by itself: both stores alike, sessions over one store, and studies' files in it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")
pytest.importorskip("redis", reason="redis is not installed: pip install -e '.[replicas]'")
import anyio
import httpx
from fastapi import HTTPException

from medvlm.errors import RequestError
from medvlm.studies import load_study
from medvlm.types import Study
from serving.access.sessions import Refused, Sessions, Terms
from serving.api.errors import ApiError
from serving.api.shared import SharedStudies
from serving.api.stored import PIECE, Shelf, Stored
from serving.api.studies import Budget, Held
from serving.store import Memory, Redis, StoreGone, answers, open_store
from serving.uploads import Inbox

from .apis import HOME, app_over
from .archives import ct
from .fakes import FakeAssistant
from .redis_server import RedisServer, needs_redis

PLANTED = "DOE^JANE"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# The store


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=needs_redis)])
def open_one(request, tmp_path_factory):
    if request.param == "memory":
        yield Memory
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    numbers = itertools.count()
    yield lambda: Redis(server.url, f"test{next(numbers)}")
    server.stop()


@pytest.fixture
def store(open_one):
    return open_one()


def test_both_stores_do_the_same(store):
    assert answers(store) and store.get("a") is None and not store.touch(9, "a")
    assert store.put("a", b"1", 9) and not store.put("a", b"2", 9, new=True) and store.get("a") == b"1"
    assert store.put("a:b", b"2", 9, new=True) and store.touch(9, "a", "a:b") and not store.touch(9, "a", "none")
    assert sorted(store.keys("a")) == ["a", "a:b"] and store.keys("a:") == ["a:b"] and store.keys("x") == []
    store.delete("a", "none")
    store.delete()
    assert store.get("a") is None and store.get("a:b") == b"2"
    assert [store.count("n", step, 9)[0] for step in (1, 1, -1)] == [1, 2, 1]
    assert 0 < store.count("n", 1, 99)[1] <= 9  # from the first on


def test_what_nobody_asks_for_expires(store):
    store.put("a", b"1", 0.001)
    store.put("b", b"1", 60)
    store.touch(0.001, "b")
    store.count("n", 5, 0.001)
    time.sleep(0.05)
    assert store.get("a") is None and store.keys("") == [] and not store.touch(1, "a")
    assert store.put("a", b"2", 9, new=True)
    assert store.count("n", 1, 9)[0] == 1


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://h:port/0", "redis", "redis://h/0?no=option"]
)
def test_what_names_no_store_gets_a_sentence(url):
    with pytest.raises(RequestError, match="--store"):
        open_store(url)
    assert not open_store(None).shared and not open_store("").shared


def test_a_store_that_is_not_there_says_so():
    with pytest.raises(StoreGone, match="does not answer"):
        Redis("redis://127.0.0.1:1/0").get("a")


# Sessions


def test_a_session_that_is_used_elsewhere_goes_on_here_and_ends_everywhere():
    clock, closed = Clock(), []
    store = Memory(clock)
    a, b = (Sessions(close=closed.append, terms=Terms(idle_s=100), now=clock, store=store) for _ in "ab")
    value, started = a.start("alice", login=True)
    assert b.find(value).client == started.client and b.find(value).login
    for _ in range(3):
        clock.now += 60
        assert b.find(value)
    a.check()
    assert len(a) == 1 and a.find(value) is started and closed == []
    b.end(value)
    assert closed == [started.client] and a.find(value) is None and closed == [started.client] * 2
    value, _ = a.start("alice")
    b.find(value)
    clock.now += 101
    a.check(), b.check()
    assert len(a) == len(b) == 0


def test_a_session_that_ended_while_a_request_came_opens_no_tab():
    """Nothing would ever close it."""
    sessions = Sessions()
    value, browser = sessions.start("alice")
    assert sessions.end(value) is browser
    with pytest.raises(Refused):
        sessions.tab(browser, "a")
    assert not browser.tabs


class Faulty(Memory):
    """Is gone while `gone`, and hangs until `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.gone, self.asked, self.go = False, threading.Event(), threading.Event()
        self.go.set()

    def get(self, key):
        self.answer()
        return super().get(key)

    def keys(self, prefix):
        self.answer()
        return super().keys(prefix)

    def answer(self) -> None:
        self.asked.set()
        assert self.go.wait(20)
        if self.gone:
            raise StoreGone("It is gone.")


def test_a_store_that_is_gone_ends_no_session():
    store, closed = Faulty(), []
    sessions = Sessions(close=closed.append, store=store)
    value, one = sessions.start("alice")
    store.gone = True
    sessions.check()
    with pytest.raises(StoreGone):
        sessions.find(value)
    store.gone = False
    assert sessions.find(value) is one and closed == []


@contextlib.contextmanager
def hanging(store: Faulty, *asks: Callable[[], object]):
    """While a store does not answer what is asked of it in other threads."""
    store.go.clear()
    threads = [threading.Thread(target=ask, daemon=True) for ask in asks]
    for thread in threads:
        store.asked.clear()
        thread.start()
        assert store.asked.wait(10)
    yield
    assert all(thread.is_alive() for thread in threads)
    store.go.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_store_that_hangs_but_who_asks_it(tmp_path):
    """The event loop, which opens tabs and begins work, would stand still for all."""
    store = Faulty()
    sessions, studies = Sessions(store=store), shared(store, tmp_path)
    value, one = sessions.start("alice")
    held = studies.add(Held("alice", Study([])), files(tmp_path / "sent", 1))
    sweeps = (sessions._sweeper._swept, studies._sweeper._swept)
    with hanging(store, lambda: sessions.find(value), *sweeps, lambda: studies.get("alice", held.id)):
        begun = time.monotonic()
        sessions.tab(one, "a")
        with studies.using(held):
            pass
        assert time.monotonic() - begun < 5
    assert studies.get("alice", held.id) is held and sessions.find(value) is one


def test_health_answers_while_a_store_that_hangs_holds_all_threads_of_requests(tmp_path):
    """Else the supervisor would start the server anew, which brings no store back and loses what is open."""

    async def asked(path: str) -> int:
        threads = anyio.to_thread.current_default_thread_limiter()
        for number in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(number)
        transport = httpx.ASGITransport(app_over(FakeAssistant(), tmp_path / "inbox"))
        async with httpx.AsyncClient(transport=transport, base_url=HOME) as client, asyncio.timeout(10):
            return (await client.get(path)).status_code

    assert asyncio.run(asked("/v1/health")) == asyncio.run(asked("/v1/ready")) == 200


# Studies on the shelf


def files(folder, *sizes: int):
    folder.mkdir()
    for number, size in enumerate(sizes):
        (folder / f"{number}").mkdir()
        (folder / f"{number}" / f"{PLANTED}.bin").write_bytes(np.random.default_rng(number).bytes(size))
    return folder


def test_files_come_back_as_they_were_in_pieces(tmp_path):
    store = Memory()
    shelf, sent = Shelf(store, Budget()), files(tmp_path / "sent", 2 * PIECE + 5, 7)
    shelf.put("alice", Stored("id"), sent)
    assert len(store.keys("piece:")) == 3 and max(map(len, map(store.get, store.keys("piece:")))) == PIECE
    back = tmp_path / "back"
    shelf.fetch(shelf.find("alice", "id"), back)
    for path in sent.rglob("*.bin"):
        assert (back / path.relative_to(sent)).read_bytes() == path.read_bytes()
    assert shelf.find("bob", "id") is None and shelf.find("alice session 1", "id") is None
    store.delete(store.keys("piece:")[1])
    assert shelf.find("alice", "id") is None  # not whole any more
    shelf.leave("alice")
    assert store.keys("") == []


def test_ones_own_oldest_study_makes_room_on_the_shelf_and_nobody_elses(tmp_path):
    shelf = Shelf(Memory(), Budget(studies_of_one=3), most=100)
    for id in ("1", "2", "3"):
        shelf.put("alice", Stored(id), files(tmp_path / id, 30))
    shelf.put("bob", Stored("b"), files(tmp_path / "b", 90))
    shelf.put("alice", Stored("4"), files(tmp_path / "4", 60))
    assert shelf.ids() == {"3", "4", "b"}
    with pytest.raises(ApiError) as refusal:
        shelf.put("alice session 1", Stored("5"), files(tmp_path / "5", 60))  # another browser of hers
    assert refusal.value.status == 429 and refusal.value.retry_after and shelf.ids() == {"3", "4", "b"}
    with pytest.raises(ApiError) as refusal:
        shelf.put("alice", Stored("6"), files(tmp_path / "6", 101))
    assert refusal.value.status == 413 and shelf.ids() == {"3", "4", "b"}


def test_what_cannot_be_kept_whole_leaves_nothing(tmp_path):
    class Small(Memory):
        def put(self, key, value, seconds, new=False):
            if key.endswith(":1"):
                raise StoreGone("There is no room.")
            return super().put(key, value, seconds, new)

    store = Small()
    with pytest.raises(StoreGone):
        Shelf(store, Budget()).put("alice", Stored("id", key="k"), files(tmp_path / "f", 2 * PIECE))
    assert store.keys("") == []


# Studies that replicas share


def shared(store: Memory, folder: Path, **budget: float) -> SharedStudies:
    """Those of one replica, whose uploads lie in `folder`."""
    return SharedStudies(Shelf(store, Budget()), Inbox(folder), Budget(**budget))


@pytest.fixture
def replicas(tmp_path):
    """Two replicas over one store, of which the second has room for one study, and a study of alice's at the first."""
    store = Faulty()
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = shared(store, tmp_path / "a"), shared(store, tmp_path / "b", studies=1)
    ct(tmp_path / "scan" / "0")
    held = a.add(Held("alice", load_study([tmp_path / "scan"])), tmp_path / "scan")
    return SimpleNamespace(store=store, a=a, b=b, id=held.id, folder=tmp_path / "b")


def test_a_study_that_was_used_elsewhere_for_long_is_still_here(replicas):
    replicas.a._held[replicas.id].used -= 1e6
    assert replicas.a.get("alice", replicas.id).used > 0
    assert len(replicas.b.get("alice", replicas.id).study.images) == 3


def test_a_replica_without_room_keeps_no_files_of_what_it_refused(replicas):
    replicas.b._held["other"] = Held("bob", Study([]), id="other", users=1)
    with pytest.raises(ApiError) as refusal:
        replicas.b.get("alice", replicas.id)
    assert refusal.value.status == 429 and not list(replicas.folder.iterdir())
    del replicas.b._held["other"]
    assert replicas.b.get("alice", replicas.id) and list(replicas.folder.iterdir())


def test_a_replica_with_a_full_disk_says_so(replicas, monkeypatch):
    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inbox, "new", full)
    with pytest.raises(HTTPException) as refusal:
        replicas.b.get("alice", replicas.id)
    assert refusal.value.status_code == 507


def test_what_a_client_leaves_is_gone_here_also_where_the_store_is(replicas):
    """It expires there; and whoever is told of the log-out next is told."""
    replicas.b.get("alice", replicas.id)
    replicas.store.gone = True
    replicas.b.leave("alice")
    assert not list(replicas.folder.iterdir()) and len(replicas.b) == 0
