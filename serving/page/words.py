"""The page's English, all of it in `words.yaml`: for Python by dotted keys, for the page's scripts, for its templates."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

import yaml

_TREE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text("utf-8"))


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
        return
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(inner, f"{key}.{name}" if key else str(name))


WORDS: Mapping[str, str] = MappingProxyType(dict(_flat(_TREE)))  # such as `WORDS["chat.sorry"]`
ESCAPED: Mapping[str, str] = MappingProxyType({key: html.escape(text) for key, text in WORDS.items()})


class Markup(Template):
    """HTML in which `$viewer.fit` stands for a text: `substitute` it with `ESCAPED`."""

    idpattern = r"[a-z_]+(?:\.[a-z_]+)*"


def script() -> str:
    """The script that hands the texts to the others, as `medvlm.words.viewer.fit`; it comes before them."""
    tree = json.dumps(_TREE).replace("<", "\\u003c")  # no text can end the script
    return f"window.medvlm = {{ words: {tree} }};"
