"""What the findings of one report say of each other: the same evidence decides a sentence and a finding."""

from __future__ import annotations

from collections.abc import Sequence

from ..policy import DecisionPolicy
from ..types import Finding
from ..vocabulary import whole

RATIO = "cardiothoracic ratio"


def agree(findings: Sequence[Finding], texts: list[str], policy: DecisionPolicy) -> None:
    """Settle, in place, what findings and the sentences that describe them ("" for none) contradict each other in."""
    _weigh_heart(findings, texts, policy)
    _imply(findings)


def ratio_of(finding: Finding) -> float | None:
    """The cardiothoracic ratio that a finding was measured to have, or rests on."""
    return next((m.value for m in finding.measurements if m.name == RATIO), None)


def _weigh_heart(findings: Sequence[Finding], texts: list[str], policy: DecisionPolicy) -> None:
    """Cardiomegaly against the measured ratio: where they differ it is uncertain, with both said and the heart shown."""
    heart = next((f for f in findings if f.label == "heart" and ratio_of(f) is not None), None)
    place = next((i for i, f in enumerate(findings) if f.label == "cardiomegaly"), None)
    if heart is None or place is None:
        return
    finding, ratio = findings[place], ratio_of(heart) or 0.0
    wide, limit = ratio > policy.enlarged_heart, f"{policy.enlarged_heart:.2f}"
    chance = 1 - finding.confidence if finding.presence == "absent" else finding.confidence
    seen = finding.presence == "present" or bool(finding.regions)
    if wide and not seen:
        texts[place] = (
            f"Uncertain whether the heart is enlarged: the cardiothoracic ratio of {ratio:.2f} is above {limit}, "
            f"by its look the probability is {min(chance, 0.99):.2f}."
        )
    elif seen and not wide:
        texts[place] = (
            f"Possible cardiomegaly by its look (probability {min(chance, 0.99):.2f}), although the cardiothoracic ratio of "
            f"{ratio:.2f} is not above {limit}."
        )
    else:
        return
    finding.presence, finding.confidence = "uncertain", chance
    finding.regions = finding.regions or heart.regions
    finding.measurements += [m for m in heart.measurements if m.name == RATIO]


def _imply(findings: Sequence[Finding]) -> None:
    """What is shown shows what it is a kind or a side of as well: with a glioma a brain tumour is not "not found"."""
    for finding in (f for f in findings if not f.regions):
        kinds = [f for f in findings if f.regions and _is_a(f.label, finding.label)]
        if kinds:
            surest = max(kinds, key=lambda f: f.confidence)
            finding.presence, finding.confidence = surest.presence, surest.confidence
            finding.regions = sorted({i for kind in kinds for i in kind.regions})


def _is_a(label: str, other: str) -> bool:
    return whole(label) == other or label.endswith(f" {other}")
