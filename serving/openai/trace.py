"""The calls behind an answer in OpenAI's form: our tools as functions, calls as `tool_calls`, and what each gave."""

from __future__ import annotations

import json
from typing import Any

from medvlm.conversation.grammar import CHOICES, OPEN, TOOLS, Call, Tool, parse
from medvlm.types import Answer, Region

ARROW = " → "  # between a call and what it gave, in a line of a trace


def functions() -> list[dict[str, Any]]:
    """Every tool as a request names it under `tools`."""
    return [
        {"type": "function", "function": {"name": name, "description": tool.about, "parameters": _parameters(tool)}}
        for name, tool in TOOLS.items()
    ]


def _parameters(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a tool's arguments."""
    known: dict[str, Any] = {}
    if tool.most:
        things = {"type": "array", "items": {"type": "string"}, "minItems": tool.least, "maxItems": tool.most}
        known["things"] = {**things, "description": "Names of what to find, `it` or `anything`."}
    if tool.words:
        known["what"] = {"type": "string", "enum": list(tool.words)}
    if known:
        known |= {name: {"type": "string", "enum": list(words)} for name, words in CHOICES.items()}
        known |= {name: {"type": "string"} for name in OPEN} | {"not": {"type": "boolean"}}
    required = ["things"] * bool(tool.least) + ["what"] * bool(tool.words)
    return {"type": "object", "properties": known, "required": required, "additionalProperties": False}


def traced(answer: Answer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The calls of an answer's trace, and the results of those: what each gave in words, and its regions."""
    lines = [line.partition(ARROW) for line in (answer.thoughts or "").splitlines()]
    made = [(call, gave) for text, _, gave in lines for call in _calls(text)]
    names = [f"call_{number}" for number in range(len(made))]
    regions: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for region in answer.regions if made else []:
        regions[names[_caller(region, [call for call, _ in made])]].append(region.to_json())
    calls = [
        {"id": name, "type": "function", "function": {"name": call.tool, "arguments": json.dumps(_arguments(call))}}
        for name, (call, _) in zip(names, made, strict=True)
    ]
    results = [
        {"tool_call_id": name, "content": gave, "regions": regions[name]}
        for name, (_, gave) in zip(names, made, strict=True)
    ]
    return calls, results


def _calls(text: str) -> tuple[Call, ...]:
    try:
        return parse(text)
    except ValueError:  # a remark
        return ()


def _caller(region: Region, calls: list[Call]) -> int:
    """Which call shows a region: the first that names it, else the last."""
    named = [at for at, call in enumerate(calls) if {region.label, region.phrase} & set(call.things)]
    return named[0] if named else len(calls) - 1


def _arguments(call: Call) -> dict[str, Any]:
    things = {"things": list(call.things)} if call.things else {}
    word = {"what": call.word} if call.word else {}
    return {**things, **word, **dict(call.modifiers), **({"not": True} if call.denied else {})}
