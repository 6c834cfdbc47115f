"""Tokenizers that threads share."""

from __future__ import annotations

import threading
from typing import Any

_LOCK = threading.Lock()  # transformers' fast tokenizers keep padding and truncation from call to call


def tokenized(tokenizer: Any, *texts: Any, **options: Any) -> Any:
    """`tokenizer(*texts, **options)`, by one thread at a time."""
    with _LOCK:
        return tokenizer(*texts, **options)
