"""What is said of a thing in a volume: on which slices it is, how much of it there is, and how far it reaches. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping

from ..notices import named
from ..types import Body, Measurement, Study

WITHHELD = "How far apart the slices lie is unknown or uneven, so no volume is told."
ALONG = "left to right × front to back × head to foot"


def on_slices(body: Body, study: Study) -> str:
    """Such as "slices 4 to 21 of 36", or "slice 4 of 36"."""
    first, last = body.slices
    if first == last:
        return named(study, first)
    return f"slices {first + 1} to {last + 1} of {len(study.images)}"


def sizes(body: Body) -> list[str]:
    """Such as "volume 1,087 ml" and "219 × 180 × 90 mm"; nothing of what is unknown."""
    out = [] if body.volume_ml is None else [f"volume {amount(Measurement('volume', body.volume_ml, 'ml'))}"]
    if body.extent_mm is not None:
        out.append(f"{' × '.join(f'{mm:.0f}' for mm in body.extent_mm)} mm")
    return out


def amount(volume: Measurement) -> str:
    """A volume with as many places as one reads, such as "1,087 ml", "47.7 ml" or "0.42 ml"."""
    places = 0 if volume.value >= 100 else 1 if volume.value >= 10 else 2
    return f"{volume.value:,.{places}f} {volume.unit}"


def sentence(label: str, body: Body, study: Study) -> str:
    """Such as "Liver over all slices: volume 1,087 ml, 219 × … mm (…), in 2 pieces, on slices 1 to 30 of 30, most on …."."""
    words = sizes(body)
    if body.extent_mm is not None:
        words[-1] += f" ({ALONG})"
    words += [f"in {body.count} pieces"] if body.count > 1 else []
    words.append(f"on {on_slices(body, study)}")
    if body.slices[0] != body.slices[1]:
        words.append(f"most on {named(study, body.largest)}")
    return f"{label[:1].upper()}{label[1:]} over all slices: {', '.join(words)}."


def summary(bodies: Mapping[str, Body]) -> str:
    """Several things in one sentence, such as "Over all slices: liver 1,087 ml, spleen 276 ml."."""
    told = [
        label if body.volume_ml is None else f"{label} {amount(Measurement('volume', body.volume_ml, 'ml'))}"
        for label, body in bodies.items()
    ]
    return f"Over all slices: {', '.join(told)}."
