"""The short answers that may be given without generation, a reviewed list."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml


@cache
def reviewed_answers() -> tuple[str, ...]:
    """The short answers that may be given without generation: none names a treatment, a cause, a symptom or a person."""
    return tuple(yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text(encoding="utf-8")))
