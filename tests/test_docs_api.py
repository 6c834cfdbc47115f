"""docs/API.md says what the code says, and all of it that is public."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

import medvlm
from docs import api
from medvlm import errors


@pytest.fixture(scope="module")
def page() -> str:
    return api.page()


def test_the_page_is_what_the_code_says(page: str) -> None:
    written = api.PAGE.read_text(encoding="utf-8")
    assert written == page, "docs/API.md is behind the code: python docs/api.py makes it anew"


def test_a_changed_docstring_changes_the_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors.StudyError, "__doc__", "Something else.")
    assert api.page() == page.replace("A file or folder cannot be read as a study.", "Something else.") != page


@pytest.mark.parametrize("name", [name for name in medvlm.__all__ if name != "__version__"])
def test_every_public_name_has_a_place(page: str, name: str) -> None:
    assert re.search(rf"^#+ {name}$|^- `{name}\(", page, re.MULTILINE)


def test_every_method_of_the_assistant_is_told(page: str) -> None:
    named = re.findall(r"^### Assistant\.(\w+)$", page, re.MULTILINE)
    assert named == [name for name in vars(medvlm.Assistant) if name[0] != "_"]
    assert {"ask", "choose", "ground", "segment", "carry", "facts", "check_report", "report"} <= set(named)


def test_what_can_be_run_and_what_a_recipe_may_say_is_told(page: str) -> None:
    assert "### `python -m training.sft`" in page and "### `python -m training.grpo`" in page
    assert "#### HeadsSettings" in page and "#### Recipe" in page


@dataclass(frozen=True)
class Sample:
    """Made up."""

    size: tuple[int, int]  # (H, W) in pixels
    name: str = ""

    def scaled(self, by: float = 2.0, *, up: bool = True) -> Sample:
        """Larger or smaller.

        In both directions.
        """
        return self

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]


def test_a_class_is_told_with_the_comments_of_its_fields_and_with_its_methods() -> None:
    heading, code, told, methods = api.entry(Sample)
    assert heading == "### Sample" and told == "Made up."
    assert code.splitlines()[1:-1] == [
        "@dataclass(frozen=True)",
        "class Sample:",
        "    size: tuple[int, int]  # (H, W) in pixels",
        '    name: str = ""',
    ]
    assert methods.splitlines() == [
        "- `scaled(by: float=2.0, *, up: bool=True) -> Sample`: Larger or smaller. In both directions.",
        "- `area: int`",
    ]


def test_a_function_is_told_as_it_is_written() -> None:
    code = list(api.entry(Sample.scaled, "Sample."))[1]
    assert code == "```python\ndef scaled(self, by: float = 2.0, *, up: bool = True) -> Sample:\n```"


def test_arguments_become_a_list() -> None:
    text = "Reads.\n\nArgs:\n    path: where it is,\n        or was.\n    size: (H, W).\n\nMore."
    assert api.markdown(text) == "Reads.\n\nArgs:\n\n- path: where it is,\n  or was.\n- size: (H, W).\n\nMore."


def test_what_says_nothing_is_refused() -> None:
    def silent() -> None: ...

    with pytest.raises(ValueError, match="silent has no docstring"):
        list(api.entry(silent))
