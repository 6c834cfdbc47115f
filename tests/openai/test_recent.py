"""Studies of chats that are kept for the next question: whose, and for how long."""

from __future__ import annotations

import time

from medvlm.types import Image, Study
from serving.openai import recent, routes
from tests.fakes import FakeAssistant, square

from .conftest import ask, client_at, png, serving, user


def test_the_same_images_are_read_once_while_they_are_asked_about(monkeypatch):
    now, read = [0.0], []
    monkeypatch.setattr(recent.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(recent, "MOST_BYTES", 2 * square().nbytes)
    kept = recent.Recent(lambda images: read.append(images) or Study([Image(square())]))
    first = kept.study("me", ("a",))
    assert kept.study("me", ("a",)) is first and read == [("a",)]
    kept.study("me", ("b",))
    kept.study("me", ("a",))
    kept.study("me", ("c",))  # the one that was not asked about for longest makes room
    assert kept.study("me", ("a",)) is first and kept.study("me", ("b",)) and read == [("a",), ("b",), ("c",), ("b",)]
    now[0] = recent.KEPT_SECONDS
    kept.study("me", ("b",))
    kept.sweep()
    assert len(kept.kept) == 1
    monkeypatch.setattr(recent, "MOST_BYTES", 0)
    kept.study("me", ("b",))  # makes no room for it
    assert kept.study("me", ("d",)) and not kept.kept  # what is too large is not kept at all


def test_what_one_client_sent_is_no_others_makes_no_room_for_others_and_goes_with_it(monkeypatch):
    read = []
    monkeypatch.setattr(recent, "MOST_BYTES", 2 * square().nbytes)
    kept = recent.Recent(lambda images: read.append(images) or Study([Image(square())]))
    first = kept.study("alice", ("a",))
    assert kept.study("bob", ("a",)) is not first and read == [("a",), ("a",)]
    kept.study("bob", ("b",))
    kept.study("carol", ("a",))  # for whom there is no room
    assert kept.study("alice", ("a",)) is first
    kept.leave("alice")
    assert {client for client, _ in kept.kept} == {"bob"}
    assert kept.study("alice", ("a",)) is not first


def test_a_study_that_is_read_while_its_client_leaves_is_not_kept():
    def read(images):
        kept.leave("alice")
        return Study([Image(square())])

    kept = recent.Recent(read)
    assert kept.study("alice", ("a",)) and not kept.kept and not kept.reading
    kept.read = lambda images: Study([Image(square())])
    assert kept.study("alice", ("a",)) and kept.kept and not kept.reading


def test_studies_are_forgotten_without_another_request(monkeypatch):
    monkeypatch.setattr(recent, "KEPT_SECONDS", 0.5)
    chats = routes.Chats(lambda client: FakeAssistant())
    with serving(chats) as address, client_at(address) as client:
        ask(client, user("Is it there?", png()))
        assert len(chats.recent.kept) == 1
        for _ in range(100):
            time.sleep(0.02)
            if not chats.recent.kept:
                break
    assert not chats.recent.kept
