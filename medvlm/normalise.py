"""When two short answers say the same. Torch-free."""

from __future__ import annotations

import re

NUMBER_WORDS = {
    word: str(i)
    for i, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}
ARTICLES = {"a", "an", "the"}
CANONICAL = {"yeah": "yes", "yep": "yes", "true": "yes", "y": "yes", "nope": "no", "false": "no", "n": "no"}


def normalise_answer(text: str) -> str:
    """Lower case, no punctuation (but a decimal point) or articles, number words as digits, one word for yes and no."""
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|[^\w\s.]|_", " ", text.lower())
    words = [NUMBER_WORDS.get(word, word) for word in text.split() if word not in ARTICLES]
    return CANONICAL.get(words[0], words[0]) if len(words) == 1 else " ".join(words)
