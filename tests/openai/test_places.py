"""Places of chats: too many at once, those who wait, and those who have left."""

from __future__ import annotations

import threading
import time

import httpx
import openai
import pytest

from serving.openai import routes
from serving.turns import InTurn, Turns
from tests.fakes import FakeAssistant

from .conftest import ask, client_at, png, serving, user


def test_too_many_at_once_are_told_to_come_back(address, monkeypatch):
    started = threading.Event()

    class Held(FakeAssistant):
        def ask(self, *args, **options):
            started.set()
            release.wait(10)
            return super().ask(*args, **options)

    release, held = threading.Event(), Held()
    monkeypatch.setattr(routes, "AT_ONCE", 1)
    with serving(routes.Chats(lambda client: held)) as address, client_at(address) as client:
        answers = []
        first = threading.Thread(target=lambda: answers.append(ask(client, user("Is it there?", png()))))
        first.start()
        started.wait(10)
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client, user("Is it there?", png()))
        assert caught.value.response.headers["retry-after"] == "2"
        release.set()
        first.join()
        assert answers and ask(client, user("Is it there?", png()))


def test_a_body_that_is_still_to_come_takes_no_place_of_others(monkeypatch):
    monkeypatch.setattr(routes, "AT_ONCE", 1)
    begun, go = threading.Event(), threading.Event()

    def slowly():
        yield b"{"
        begun.set()
        go.wait(20)
        yield b"}"

    with serving(routes.Chats(lambda client: FakeAssistant())) as address, client_at(address) as client:
        slow = threading.Thread(target=httpx.post, args=(f"{address}/chat/completions",), kwargs={"content": slowly()})
        slow.start()
        try:
            assert begun.wait(10)
            assert ask(client, user("Is it there?", png()))
        finally:
            go.set()
            slow.join()


@pytest.mark.parametrize("stream", [True, False])
def test_what_waits_for_a_client_that_left_takes_no_place_of_others(stream):
    class Hangs(FakeAssistant):
        def ask(self, study, question, *args, **options):
            if "hang" in question:
                hung.set()
                go.wait(60)
            return super().ask(study, question, *args, **options)

    hangs, turns, go, hung = Hangs(), Turns(beside=1), threading.Event(), threading.Event()
    chats = routes.Chats(lambda client: InTurn(hangs, turns, "me"), stop=InTurn.abandon)
    with serving(chats) as address, client_at(address) as client:
        answers = []
        first = threading.Thread(target=lambda: answers.append(ask(client, user("Does it hang?", png()))))
        first.start()
        try:
            assert hung.wait(20)
            with pytest.raises(openai.APITimeoutError):
                list(ask(client.with_options(timeout=2), user("Is it there?", png()), stream=stream))
            end = time.monotonic() + 15
            while chats.places._value != routes.AT_ONCE - 1 and time.monotonic() < end:
                time.sleep(0.02)
            assert chats.places._value == routes.AT_ONCE - 1 and len(turns._awaited) == 1 and not answers
        finally:
            go.set()
            first.join()
        assert answers


@pytest.mark.parametrize("stream", [True, False])
def test_work_for_a_client_that_left_ends(client, assistant, stream):
    began = time.monotonic()
    impatient = client.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        list(ask(impatient, user("Look slowly", png()), stream=stream))
    while assistant.at_work:
        time.sleep(0.02)
    assert time.monotonic() - began < 3  # of the four seconds that it would have taken
