"""The values of facts: which one a call or a question means, how likely it is, and how it is said. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..normalise import normalise_answer
from ..types import Region

NAMES = {  # what a call names → the facts that the heads learned
    "tumour type": "tumour_type",
    "breast finding": "breast_finding",
    "breast tissue": "breast_tissue",
    "macular edema": "diabetic macular edema risk",
    "lesion asymmetry": "asymmetry",
    "thyroid calcifications": "calcifications",
    "red cell disease": "red_cell_disease",
    "red cell type": "main_abnormal_red_cell_type",
}
DISPLAYED = {"x-ray": "X-ray", "ct": "CT", "mri": "MRI", "ti-rads": "TI-RADS", "covid-19": "COVID-19"}
HEALTHY = ("no", "normal", "no finding", "no apparent retinopathy", "no apparent hard exudates")
NORMAL = (*HEALTHY, "none", "absent")


def named(word: str, facts: Mapping[str, Mapping[str, float]]) -> str:
    """The fact that a word of a call stands for: one of that name, else that of the fewest values which has it as a value."""
    name = NAMES.get(word, word)
    having = [fact for fact, values in facts.items() if word in values]
    return name if name in facts or not having else min(having, key=lambda fact: len(facts[fact]))


def chance_of(chances: Mapping[str, float], wanted: str) -> float:
    """The chance of the value that a call names; "yes" of a fact with stages is any of them but the normal one."""
    normal = sum(chance for name, chance in chances.items() if name in NORMAL)
    if wanted in ("yes", "present"):
        return 1 - normal
    if wanted in NORMAL:
        return normal
    return sum(chance for name, chance in chances.items() if means(name, wanted))


def means(name: str, wanted: str) -> bool:
    """Whether a fact's value is the one that a call names: the same words, or some of its words."""
    words, wanted_words = normalise_answer(name).split(), normalise_answer(wanted).split()
    if {*words} & {"no"} and wanted_words[:1] != ["no"]:
        return wanted_words in (["none"], ["absent"], ["normal"])
    return (
        words == wanted_words
        or set(wanted_words) <= set(words)
        and "non" not in set(words) - set(wanted_words)
        or _stem(words) == _stem(wanted_words)
    )


def _stem(words: Sequence[str]) -> str:
    return " ".join(word.removesuffix("genicity").removesuffix("ic") for word in words)


def others(chances: dict[str, float], best: str) -> list[str]:
    """A sentence on the runner-up where it is near."""
    rest = {name: chance for name, chance in chances.items() if name != best}
    second = max(rest, key=rest.__getitem__, default="")
    near = second and rest[second] >= 0.15
    return [f"It could also be {second} ({rest[second]:.2f} against {chances[best]:.2f})."] if near else []


def in_brackets(chance: float) -> str:
    """A probability as it stands behind what it is of."""
    return f" ({min(chance, 0.99):.2f})"


def listed(regions: Sequence[Region]) -> str:
    """The labels of some regions as one says them."""
    names = list(dict.fromkeys(region.label for region in regions))
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def shown_kind(value: str) -> str:
    """A kind as one writes it, such as "CT"."""
    return DISPLAYED.get(value, value)
