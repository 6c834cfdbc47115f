"""OpenAI's protocol, spoken by its own unmodified client over a real server on loopback."""

from __future__ import annotations

import base64
import contextlib
import errno
import io
import json
import socket
import threading
import time

import httpx
import nibabel as nib
import numpy as np
import PIL.Image
import pydicom.examples
import pytest

pytest.importorskip("openai", reason="openai is not installed: pip install -e '.[dev]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install -e '.[serving]'")
import openai
import uvicorn
from fastapi import FastAPI

from medvlm.conversation.grammar import TOOLS, parse
from medvlm.errors import LanguageError
from medvlm.progress import tracked
from medvlm.types import Answer, Image, Study, decode_mask
from serving.api.chatting import router
from serving.openai import recent, routes
from serving.openai.replies import said
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
from serving.openai.trace import functions, traced
from serving.turns import InTurn, Turns
from tests.fakes import FakeAssistant, square


class Slides(FakeAssistant):
    """Says as notices what the study is that it was asked about, and tells its progress."""

    def __init__(self):
        super().__init__()
        self.at_work = []

    def ask(self, study, question, *args, **options):
        if "server" in question:
            raise LanguageError("The language server went away: start it again.")
        self.at_work.append(question)
        try:
            for _ in tracked(range(200) if "slowly" in question else [0]):
                time.sleep(0.02)
        finally:
            self.at_work.remove(question)
        answer = super().ask(study, question, *args, **options)
        answer.notices = [f"There are {len(study.images)} images of {study.kind}."]
        answer.scope = "image 1 of 1"
        return answer


@contextlib.contextmanager
def serving(app):
    """The address of an app that a real server has on loopback meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: server.run(sockets=[bound]))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    return tmp_path_factory.mktemp("inbox")


@pytest.fixture(scope="module")
def assistant():
    return Slides()


@pytest.fixture(scope="module")
def address(inbox, assistant):
    app = FastAPI()
    app.include_router(router(routes.Chats(lambda client: assistant, inbox)), prefix="/v1")
    with serving(app) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        yield client


def data_url(data: bytes, kind: str = "image/png") -> dict:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}}


def png(**given) -> dict:
    buffer = io.BytesIO()
    PIL.Image.fromarray(square(**given)).save(buffer, "PNG")
    return data_url(buffer.getvalue())


def user(*parts) -> dict:
    return {"role": "user", "content": [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]}


def ask(client, *messages, **options):
    return client.chat.completions.create(model="fake", messages=list(messages), **options)


def test_the_model_is_listed_with_its_tools(client):
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == ("fake", "medvlm")
    assert [tool["function"]["name"] for tool in model.tools] == list(TOOLS)


def test_a_question_about_an_image(client, inbox):
    reply = ask(client, {"role": "system", "content": "Be brief."}, user("Please find thing", png()))
    (choice,) = reply.choices
    assert (reply.model, choice.finish_reason, choice.message.tool_calls) == ("fake", "stop", None)
    assert choice.message.content == "yes\n\nConfidence 0.80 (image 1 of 1).\n\nNote: There are 1 images of picture."
    told = choice.message.medvlm
    assert told["text"] == "yes" and "not for diagnosis" in told["disclaimer"]
    assert Answer.from_json(told).regions[0].box == (16.0, 16.0, 48.0, 40.0)
    assert np.array_equal(decode_mask(told["regions"][0]["mask"]), square() > 0)
    assert list(inbox.iterdir()) == []


def test_several_turns_are_one_conversation(client):
    turns = [user(png(), "Is it there?"), {"role": "assistant", "content": "yes"}, user("Ask in français, s'il vous plaît"),
             {"role": "assistant", "content": None}, user("How large"), user("is it?")]  # fmt: skip
    message = ask(client, *turns).choices[0].message
    assert message.medvlm["detail"] == "After 'Is it there?' and 0 more."  # the French one had no answer
    assert message.medvlm["thoughts"].startswith("look(How large is it?)")
    assert "Note:" not in message.content  # was said in the first turn already


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
    app = FastAPI()
    app.add_api_route("/v1/chat/completions", chats.complete, methods=["POST"])
    with serving(app) as address, openai.OpenAI(base_url=address, api_key="none") as client:
        ask(client, user("Is it there?", png()))
        assert len(chats.recent.kept) == 1
        for _ in range(100):
            time.sleep(0.02)
            if not chats.recent.kept:
                break
    assert not chats.recent.kept


def test_new_images_are_a_new_study(client):
    turns = [
        user(png(), "Is it there?"),
        {"role": "assistant", "content": "yes"},
        user(png(), png()),
        user("And here?"),
    ]
    told = ask(client, *turns).choices[0].message.medvlm
    assert told["detail"] == "" and told["notices"] == ["There are 2 images of series."]


def test_dicom_and_volumes_are_images_too(client, tmp_path):
    dicom = pydicom.examples.get_path("ct").read_bytes()
    nib.save(nib.Nifti1Image(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), np.eye(4)), tmp_path / "a.nii.gz")
    url = data_url((tmp_path / "a.nii.gz").read_bytes(), "application/gzip")["image_url"]["url"]
    volume = {"type": "file", "file": {"filename": "a.nii.gz", "file_data": url}}
    for part, what in ((data_url(dicom, "application/dicom"), "1 images"), (volume, "6 images of volume")):
        assert what in ask(client, user("Is it there?", part)).choices[0].message.content


def test_streaming(client):
    asked = (user("Please find thing", png()),)
    whole = ask(client, *asked).choices[0].message
    chunks = list(ask(client, *asked, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.content
    last = chunks[-1].choices[0]
    assert last.finish_reason == "stop" and last.delta.medvlm["regions"] == whole.medvlm["regions"]
    assert len({chunk.id for chunk in chunks}) == 1 and len(chunks) > 5


def test_the_clients_own_accumulator_takes_the_stream(client):
    with client.chat.completions.stream(
        model="fake", messages=[user("Is it there?", png())], tools=functions()
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content.startswith("yes") and message.tool_calls[0].function.name == "look"


def test_calls_and_their_results_are_told_where_our_tools_are_named(client):
    find = next(tool for tool in functions() if tool["function"]["name"] == "find")
    message = ask(client, user("Please find thing", png()), tools=[find]).choices[0].message
    (call,), (result,) = message.tool_calls, message.medvlm["tool_results"]
    assert json.loads(call.function.arguments) == {"things": ["Please find thing"]}
    assert result["tool_call_id"] == call.id and result["regions"] == message.medvlm["regions"]
    back = ask(
        client,
        user(png(), "Is it there?"),
        message,
        {"role": "tool", "tool_call_id": call.id, "content": "yes"},
        user("And?"),
    )
    assert back.choices[0].message.medvlm["detail"] == "After 'Is it there?' and 0 more."
    other = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    for tools in ([other], [{"function": {"name": []}}], [{"function": None}], [None], {}, "find"):
        plain = ask(client, user("Is it there?", png()), extra_body={"tools": tools})
        assert plain.choices[0].message.tool_calls is None


def test_regions_go_to_the_call_that_names_them():
    regions = FakeAssistant().ground(Study([Image(square())]), ["polyp", "liver", "mass"]).regions
    thoughts = "find(polyp, which=largest) → 1 region (0.90)\nA remark.\nmeasure(liver, size, not) → 3 mm (0.80)"
    calls, results = traced(Answer("2", 0.9, regions, thoughts=thoughts))
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"things": ["polyp"], "which": "largest"},
        {"things": ["liver"], "what": "size", "not": True},
    ]
    assert [[region["label"] for region in result["regions"]] for result in results] == [["polyp"], ["liver", "mass"]]
    assert [result["content"] for result in results] == ["1 region (0.90)", "3 mm (0.80)"]


def test_every_tool_is_described_as_its_calls_are_written():
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in functions()}
    assert set(schemas) == set(TOOLS)
    (call,) = parse("measure(polyp, size, which=largest, in=colon)")
    assert {"things", "what", "not", *dict(call.modifiers)} <= set(schemas["measure"]["properties"])
    assert schemas["measure"]["required"] == ["things", "what"] and schemas["help"]["properties"] == {}


def test_what_is_not_told_says_why():
    unsure = Answer("I cannot tell.", 0.0, abstained=True, reason="no image can answer this question")
    assert said(unsure) == "I cannot tell.\n\nno image can answer this question"


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


def test_too_many_at_once_are_told_to_come_back(address, monkeypatch):
    started = threading.Event()

    class Held(FakeAssistant):
        def ask(self, *args, **options):
            started.set()
            release.wait(10)
            return super().ask(*args, **options)

    release, held = threading.Event(), Held()
    monkeypatch.setattr(routes, "AT_ONCE", 1)
    app = FastAPI()
    app.include_router(router(routes.Chats(lambda client: held)), prefix="/v1")
    with serving(app) as address, openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
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
    app, begun, go = FastAPI(), threading.Event(), threading.Event()
    app.include_router(router(routes.Chats(lambda client: FakeAssistant())), prefix="/v1")

    def slowly():
        yield b"{"
        begun.set()
        go.wait(20)
        yield b"}"

    with serving(app) as address, openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        slow = threading.Thread(target=httpx.post, args=(f"{address}/chat/completions",), kwargs={"content": slowly()})
        slow.start()
        try:
            assert begun.wait(10)
            assert ask(client, user("Is it there?", png()))
        finally:
            go.set()
            slow.join()


def test_a_disk_without_room_is_told(client, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/DOE^JANE")

    monkeypatch.setattr("serving.openai.requests.tempfile.TemporaryDirectory", full)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, user("Is it there?", data_url(b"never sent before")))
    assert caught.value.status_code == 507 and "make room" in str(caught.value) and "JANE" not in str(caught.value)


@pytest.mark.parametrize("stream", [True, False])
def test_what_waits_for_a_client_that_left_takes_no_place_of_others(stream):
    class Hangs(FakeAssistant):
        def ask(self, study, question, *args, **options):
            if "hang" in question:
                hung.set()
                go.wait(60)
            return super().ask(study, question, *args, **options)

    hangs, turns, go, hung, app = Hangs(), Turns(beside=1), threading.Event(), threading.Event(), FastAPI()
    chats = routes.Chats(lambda client: InTurn(hangs, turns, "me"), stop=InTurn.abandon)
    app.include_router(router(chats), prefix="/v1")
    with serving(app) as address, openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
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
