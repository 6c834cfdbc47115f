"""What replicas share, by itself: both stores alike, sessions over one store, and studies' files in it."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")
pytest.importorskip("redis", reason="redis is not installed: pip install -e '.[replicas]'")

from medvlm.errors import RequestError
from serving.access.sessions import Sessions, Terms
from serving.api.errors import ApiError
from serving.api.stored import PIECE, Shelf, Stored
from serving.api.studies import Budget
from serving.store import Memory, Redis, StoreGone, answers, open_store

from .redis_server import RedisServer, needs_redis

PLANTED = "DOE^JANE"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# The store


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
def store(request, tmp_path):
    if request.param == "memory":
        yield Memory()
        return
    server = RedisServer(tmp_path)
    yield Redis(server.url)
    server.stop()


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
    assert (
        store.get("a") is None
        and store.keys("") == []
        and not store.touch(1, "a")
        and store.put("a", b"2", 9, new=True)
    )
    assert store.count("n", 1, 9)[0] == 1


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://h:port/0", "redis"])
def test_what_names_no_store_gets_a_sentence(url):
    with pytest.raises(RequestError, match="--store"):
        open_store(url)
    assert not open_store(None).shared and not open_store("").shared


def test_a_store_that_is_not_there_says_so():
    with pytest.raises(StoreGone, match="does not answer"):
        Redis("redis://127.0.0.1:1/0").get("a")


# Sessions


def test_a_session_that_is_used_elsewhere_goes_on_here_and_ends_everywhere():
    clock, store, closed = Clock(), None, []
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


def test_a_store_that_is_gone_ends_no_session():
    class Gone(Memory):
        gone = False

        def get(self, key):
            if self.gone:
                raise StoreGone("It is gone.")
            return super().get(key)

        def keys(self, prefix):
            self.get("")
            return super().keys(prefix)

    store, closed = Gone(), []
    sessions = Sessions(close=closed.append, store=store)
    value, one = sessions.start("alice")
    store.gone = True
    sessions.check()
    with pytest.raises(StoreGone):
        sessions.find(value)
    store.gone = False
    assert sessions.find(value) is one and closed == []


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
