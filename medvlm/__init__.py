"""A grounded medical vision-language assistant, for research.

`load_study` makes a `Study` of files, without a patient's data; an `Assistant` answers, grounds, segments and reports over it.
What comes back are dataclasses, whose `to_json` gives what the commands print. A name is loaded where it is first used,
because torch takes seconds.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assistant import Assistant
    from .errors import LanguageError, MedVLMError, ModelError, RecordError, RequestError, StudyError
    from .report import write_report
    from .studies import Limits, list_series, load_study
    from .types import Answer, Finding, Grounding, Image, Region, Report, Study

# From its import on, ONNX Runtime would tell its makers what it runs on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Assistant",
    "Finding",
    "Grounding",
    "Image",
    "LanguageError",
    "Limits",
    "MedVLMError",
    "ModelError",
    "RecordError",
    "Region",
    "Report",
    "RequestError",
    "Study",
    "StudyError",
    "__version__",
    "list_series",
    "load_study",
    "write_report",
]

_NAMES = {
    "assistant": ("Assistant",),
    "errors": ("LanguageError", "MedVLMError", "ModelError", "RecordError", "RequestError", "StudyError"),
    "report": ("write_report",),
    "studies": ("Limits", "list_series", "load_study"),
    "types": ("Answer", "Finding", "Grounding", "Image", "Region", "Report", "Study"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
