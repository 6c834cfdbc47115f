"""OpenAI's protocol, spoken by its own unmodified client: questions, turns, images, streams, tools."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pydicom.examples

from medvlm.conversation.grammar import TOOLS
from medvlm.types import Answer, decode_mask
from serving.openai.replies import said
from serving.openai.trace import functions
from tests.fakes import square

from .conftest import ask, data_url, png, user


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


def test_what_is_not_told_says_why():
    unsure = Answer("I cannot tell.", 0.0, abstained=True, reason="no image can answer this question")
    assert said(unsure) == "I cannot tell.\n\nno image can answer this question"
