"""What is refused of chats, each with one sentence: messages, bodies, and faults of ours."""

from __future__ import annotations

import errno
import time

import httpx
import openai
import pytest

from serving.openai import routes
from serving.openai.requests import (
    ELSEWHERE,
    MOST_IMAGES,
    MOST_MESSAGES,
    MOST_PARTS,
    NO_IMAGE,
    NOT_BASE64,
    Refused,
    read_chat,
)

from .conftest import ask, data_url, png, user


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([user("What can you do?")], NO_IMAGE),
        ([user({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "Is it there?")], ELSEWHERE),
        ([user({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "Is it there?")], ELSEWHERE),
        ([user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "Is it there?")], ELSEWHERE),
        ([user({"type": "image_url", "image_url": {"url": "data:image/png;base64,ü"}}, "Is it there?")], ELSEWHERE),
        ([user({"type": "file", "file": {"file_id": "file-1"}}, "Is it there?")], ELSEWHERE),
        ([user({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}, "Is it there?")], NOT_BASE64),
        ([user({"type": "input_audio", "input_audio": {}}, png())], "A part of a message is text"),
        ([user(data_url(b"GIF, but none"), "Is it there?")], "image 1 is plain text, not an image that can be read"),
        ([user(png())], "The question is empty"),
        ([user(png(), "Gibt es hier einen Tumor zu sehen oder nicht?")], "Ask in English"),
        ([user(png(), "Is it there?"), {"role": "assistant", "content": "yes"}], "must be the user's question"),
        ([], "Send messages as a list"),
        ([{"role": "user", "content": 3}], "text, or a list of parts"),
        ([{"role": "nobody", "content": "x"}], "A message is an object with a role"),
        ([user("Is it there?", png())] * (MOST_MESSAGES + 1), f"{MOST_MESSAGES + 1} messages are too many"),
        ([user("Is it there?", *[png()] * (MOST_IMAGES + 1))], f"More than {MOST_IMAGES} images"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_one_sentence(client, messages, sentence):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, *messages)
    assert sentence in caught.value.body["message"] and caught.value.type == "invalid_request_error"


def test_other_models_and_several_answers_are_refused(client):
    with pytest.raises(openai.NotFoundError, match="is called fake") as caught:
        client.chat.completions.create(model="gpt-4o", messages=[user("Is it there?", png())])
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="One answer"):
        ask(client, user("Is it there?", png()), n=2)


def test_faults_are_told_without_what_was_asked(client):
    for question, kind, sentence in (
        ("explode", openai.InternalServerError, "ZeroDivisionError"),
        ("server?", openai.InternalServerError, "start it again"),
    ):
        with pytest.raises(kind, match=sentence) as caught:
            ask(client, user(question, png()))
        assert caught.value.type == "server_error"
        with pytest.raises(openai.APIError, match=sentence):
            list(ask(client, user(question, png()), stream=True))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"3", b'{"model": "fake"}', b'{"model": 1}']
)
def test_bodies_that_are_none(address, body):
    reply = httpx.post(f"{address}/chat/completions", content=body)
    assert reply.status_code == 400
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_of_many_parts_is_refused_before_it_fills_the_memory():
    with pytest.raises(Refused, match="too many parts"):
        read_chat(b"[" + b"{}," * MOST_PARTS + b"{}]")


def test_large_bodies_are_refused_before_they_are_read(client, monkeypatch):
    monkeypatch.setattr(routes, "MAX_BODY", 1000)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, user("Is it there?", "x" * 1001))
    assert caught.value.status_code == 413


def test_a_body_without_a_length_is_counted(address, monkeypatch):
    monkeypatch.setattr(routes, "MAX_BODY", 1000)
    reply = httpx.post(f"{address}/chat/completions", content=(b"x" * 100 for _ in range(11)))
    assert reply.status_code == 413


def test_a_slow_body_is_given_up(address, monkeypatch):
    monkeypatch.setattr(routes, "UPLOAD_SECONDS", 0.1)

    def slowly():
        yield b"{"
        time.sleep(0.5)
        yield b"}"

    assert httpx.post(f"{address}/chat/completions", content=slowly()).status_code == 408


def test_a_disk_without_room_is_told(client, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/DOE^JANE")

    monkeypatch.setattr("serving.openai.requests.tempfile.TemporaryDirectory", full)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, user("Is it there?", data_url(b"never sent before")))
    assert caught.value.status_code == 507 and "make room" in str(caught.value) and "JANE" not in str(caught.value)
