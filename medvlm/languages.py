"""Whether a text is in another language than English, said only where that is certain. Torch-free."""

from __future__ import annotations

import re
from functools import cache

from .vocabulary import LABELS

WORD = re.compile(r"[^\W\d_]+")
# Chance of English below which a text is surely something else: none of 6,100 English questions of data sets and of
# people who asked for help fell below it, and nine of ten questions in other languages did (tests/other_languages.yaml).
SURELY_OTHER = 0.005
ENGLISH_LACKS = re.compile("[¿¡]")


@cache
def _names() -> frozenset[str]:
    """The words of the registry's names, which are much the same in all languages."""
    return frozenset(
        w for label in LABELS.values() for s in (label.name, *label.synonyms) for w in WORD.findall(s.lower())
    )


@cache
def _identifier():
    """py3langid's classifier over byte n-grams (Lui and Baldwin, 2012), loaded when the first question comes."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def chance_of_english(text: str) -> float:
    """In 0..1; 1 for what says too little, such as "PTX?" or a label's name alone."""
    text = text.lower()
    telling = [word for word in WORD.findall(text) if word not in _names()]
    if len(telling) < 2:
        return 1.0
    return max(float(dict(_identifier().rank(part))["en"]) for part in (text, " ".join(telling)))


def surely_foreign(text: str) -> bool:
    """Whether a text in Latin script is certainly in another language than English."""
    return bool(ENGLISH_LACKS.search(text)) or chance_of_english(text) < SURELY_OTHER
