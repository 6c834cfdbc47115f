"""The calls behind an answer, in OpenAI's form."""

from __future__ import annotations

import json

from medvlm.conversation.grammar import TOOLS, parse
from medvlm.types import Answer, Image, Study
from serving.openai.trace import functions, traced
from tests.fakes import FakeAssistant, square


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
